//! Metrics as OpenMetrics text, and as Prometheus text.
//!
//! `docs/metrics.md` has the same names; a test compares them.

use super::source::Source;
use super::sys::{self, Usage};
use super::words::{Count, Snapshot};
use super::{EndCause, Kind, Timing};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// The format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Prometheus,
}

pub(super) fn encode(source: &dyn Source, format: Format) -> String {
    let mut registry = Registry::with_prefix("evconn");
    registry.register_collector(Box::new(Reading::new(source)));
    let mut encoded = String::new();
    let done = match format {
        Format::OpenMetrics => text::encode(&mut encoded, &registry),
        Format::Prometheus => prometheus_text::encode(&mut encoded, &registry),
    };
    done.expect("writing to a string does not fail");
    encoded
}

/// The values at one time.
#[derive(Debug)]
struct Reading {
    counted: Snapshot,
    /// The processes, by name.
    processes: Vec<(String, Usage)>,
}

impl Reading {
    fn new(source: &dyn Source) -> Self {
        let processes = source.processes().into_iter();
        Self {
            counted: source.snapshot(),
            processes: processes
                .map(|process| (process.name, sys::usage(process.id)))
                .collect(),
        }
    }
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut output = Output(encoder);
        self.connections(&mut output)?;
        self.ends(&mut output)?;
        self.traffic(&mut output)?;
        self.instances(&mut output)?;
        self.guests(&mut output)?;
        self.listeners(&mut output)?;
        self.process(&mut output)
    }
}

impl Reading {
    fn count(&self, count: Count) -> u64 {
        self.counted.count(count)
    }

    fn connections(&self, output: &mut Output<'_>) -> fmt::Result {
        let begun = self.count(Count::Begun);
        let denied = self.count(Count::Denied);
        output.counter(
            "connections_accepted",
            "Connections that were accepted, including those that were refused afterwards",
            None,
            begun.wrapping_add(denied),
        )?;
        output.gauge(
            "connections_open",
            "Connections that are open now",
            None,
            self.counted.open(),
        )
    }

    fn ends(&self, output: &mut Output<'_>) -> fmt::Result {
        let denied = self.count(Count::Denied);
        let by_cause = |refused: bool| {
            let causes = EndCause::ALL.iter();
            let causes = causes.filter(move |cause| (cause.kind() == Kind::Refused) == refused);
            causes.map(move |cause| {
                let by_listener = u64::from(*cause == EndCause::PeerDenied) * denied;
                let ended = self.counted.ended(*cause).wrapping_add(by_listener);
                (cause.name(), ended)
            })
        };
        output.counters(
            "connections_refused",
            "Connections that were refused before the service got them",
            None,
            "cause",
            by_cause(true),
        )?;
        output.counters(
            "connections_ended",
            "Connections that have ended and were not refused",
            None,
            "cause",
            by_cause(false),
        )
    }

    fn traffic(&self, output: &mut Output<'_>) -> fmt::Result {
        output.counter(
            "connections_received",
            "Bytes that services have read from their connections",
            Some(&Unit::Bytes),
            self.count(Count::Received),
        )?;
        output.counter(
            "connections_sent",
            "Bytes that services have written to their connections and the system has taken",
            Some(&Unit::Bytes),
            self.count(Count::Sent),
        )?;
        self.throttling(output)?;
        self.histogram(
            output,
            "connection_duration",
            "Duration of connections that have ended",
            Timing::Duration,
        )?;
        self.histogram(
            output,
            "connection_first_byte",
            "Time from the begin of a connection to the first byte that was sent to its peer",
            Timing::FirstByte,
        )
    }

    fn throttling(&self, output: &mut Output<'_>) -> fmt::Result {
        output.counter(
            "connections_throttled",
            "Connections that have waited for a rate of bytes",
            None,
            self.count(Count::Throttled),
        )?;
        let waits = [
            ("received", Count::ThrottledReceiving),
            ("sent", Count::ThrottledSending),
        ];
        output.counters(
            "throttle_wait",
            "How long connections have waited for a rate of bytes",
            Some(&Unit::Seconds),
            "direction",
            waits.map(|(name, count)| (name, seconds(self.count(count)))),
        )
    }

    fn instances(&self, output: &mut Output<'_>) -> fmt::Result {
        output.counter(
            "instances_created",
            "Instances of services that were created",
            None,
            self.count(Count::Created),
        )?;
        output.counter(
            "instances_warmed",
            "Instances that were ready before there was a connection for them",
            None,
            self.count(Count::Ahead),
        )?;
        output.counter(
            "instances_reused",
            "Connections that were given to an instance that had another one before",
            None,
            self.count(Count::Reused),
        )?;
        output.gauge(
            "instances_open",
            "Instances that exist now",
            None,
            self.counted.left(Count::Created, Count::Dropped),
        )?;
        self.histogram(
            output,
            "instantiation_duration",
            "Duration of the instantiation of a service",
            Timing::Instantiation,
        )
    }

    fn guests(&self, output: &mut Output<'_>) -> fmt::Result {
        output.gauge(
            "guest_memory",
            "Linear memory of all instances",
            Some(&Unit::Bytes),
            self.counted.left(Count::Grown, Count::Freed),
        )?;
        output.counter(
            "guest_cpu",
            "CPU time of guests, and of the host on their behalf",
            Some(&Unit::Seconds),
            seconds(self.count(Count::CpuTime)),
        )?;
        output.counter(
            "guest_background_moves",
            "How many times a guest that used more CPU time than others continued at a low priority",
            None,
            self.count(Count::Moves),
        )
    }

    fn listeners(&self, output: &mut Output<'_>) -> fmt::Result {
        self.histogram(
            output,
            "accept_wait",
            "How long a listener did not accept, since there were as many connections as there may be",
            Timing::PermitWait,
        )?;
        let errors = [
            ("descriptors", Count::AcceptDescriptors),
            ("memory", Count::AcceptMemory),
            ("other", Count::AcceptOther),
        ];
        output.counters(
            "accept_errors",
            "Errors of listeners, by what was short",
            None,
            "kind",
            errors.map(|(name, count)| (name, self.count(count))),
        )
    }

    fn process(&self, output: &mut Output<'_>) -> fmt::Result {
        self.histogram(
            output,
            "event_loop_lag",
            "How late a timer of a worker thread fires, measured once per second",
            Timing::LoopLag,
        )?;
        let of_processes = |value: fn(&Usage) -> Option<u64>| {
            let known = self.processes.iter();
            known.filter_map(move |(name, usage)| Some((name.as_str(), value(usage)?)))
        };
        output.gauges(
            "process_open_fds",
            "Open file descriptors of a process",
            None,
            "process",
            of_processes(|usage| usage.descriptors),
        )?;
        output.gauges(
            "process_memory_mappings",
            "Memory mappings of a process",
            None,
            "process",
            of_processes(|usage| usage.mappings),
        )?;
        output.gauges(
            "process_resident_memory",
            "Resident memory of a process",
            Some(&Unit::Bytes),
            "process",
            of_processes(|usage| usage.resident_bytes),
        )?;
        output.gauges(
            "build_info",
            "Always 1; the version of evconn is a label",
            None,
            "version",
            [(env!("CARGO_PKG_VERSION"), 1)],
        )
    }

    fn histogram(
        &self,
        output: &mut Output<'_>,
        name: &str,
        help: &str,
        timing: Timing,
    ) -> fmt::Result {
        let (counts, sum) = self.counted.timing(timing);
        let bounds = timing.bounds().iter().map(|bound| seconds(*bound));
        let bounds = bounds.chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
        let count = counts.iter().copied().fold(0, u64::wrapping_add);
        let unit = Some(&Unit::Seconds);
        let mut metric = output
            .0
            .encode_descriptor(name, help, unit, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(seconds(sum), count, &buckets, None)
    }
}

/// Where metrics are written to.
struct Output<'a>(DescriptorEncoder<'a>);

impl Output<'_> {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeCounterValue,
    ) -> fmt::Result {
        let counter = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, unit, counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes a counter with a label.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, impl EncodeCounterValue)>,
    ) -> fmt::Result {
        let counter = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, unit, counter)?;
        for (of, value) in values {
            let labels = [(label, of)];
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit, gauge)?;
        metric.encode_gauge(&value)
    }

    /// Writes a gauge with a label.
    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit, gauge)?;
        for (of, value) in values {
            let labels = [(label, of)];
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
