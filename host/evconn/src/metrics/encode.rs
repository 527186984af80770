//! Metrics as OpenMetrics text, and as Prometheus text.
//!
//! `docs/metrics.md` has the same names; a test compares them.

use super::source::Part;
use super::sys::Usage;
use super::words::{Count, Snapshot};
use super::{EndCause, Kind, Timing};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;

/// The format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Prometheus,
}

pub(super) fn encode(parts: &[Part], format: Format) -> String {
    let mut registry = Registry::with_prefix("evconn");
    registry.register_collector(Box::new(Reading::new(parts)));
    let mut encoded = String::new();
    let done = match format {
        Format::OpenMetrics => text::encode(&mut encoded, &registry),
        Format::Prometheus => prometheus_text::encode(&mut encoded, &registry),
    };
    done.expect("writing to a string does not fail");
    encoded
}

/// The values at one time.
#[derive(Debug, Default)]
struct Reading {
    services: Vec<Service>,
    /// The process that reads the metrics.
    this: Option<Usage>,
}

/// What is known of a service.
#[derive(Debug)]
struct Service {
    name: Option<Arc<str>>,
    counted: Snapshot,
    /// Its processes, by name.
    processes: Vec<(String, Usage)>,
}

impl Reading {
    fn new(parts: &[Part]) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.add(part);
        }
        all
    }

    fn add(&mut self, part: &Part) {
        let mut processes = Vec::new();
        for (number, usage) in part.usages() {
            match number {
                // All services have it in common.
                None => self.this = Some(usage),
                Some(number) => processes.push((number.to_string(), usage)),
            }
        }
        let known = self.services.iter_mut();
        match known
            .into_iter()
            .find(|service| service.name == part.service)
        {
            Some(service) => {
                service.counted += &part.snapshot();
                service.processes.extend(processes);
            }
            None => self.services.push(Service {
                name: part.service.clone(),
                counted: part.snapshot(),
                processes,
            }),
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

/// The labels of a sample, and its value.
type Sample<'a, V> = (Vec<(&'static str, &'a str)>, V);

impl Service {
    fn labels(&self) -> Vec<(&'static str, &str)> {
        let name = self.name.as_deref().map(|name| ("service", name));
        name.into_iter().collect()
    }

    fn sample<'a, V>(&'a self, label: &'static str, of: &'a str, value: V) -> Sample<'a, V> {
        let mut labels = self.labels();
        labels.push((label, of));
        (labels, value)
    }
}

impl Reading {
    /// Returns a sample of each service.
    fn each<V>(&self, value: impl Fn(&Snapshot) -> V) -> impl Iterator<Item = Sample<'_, V>> {
        let services = self.services.iter();
        services.map(move |service| (service.labels(), value(&service.counted)))
    }

    fn count(&self, count: Count) -> impl Iterator<Item = Sample<'_, u64>> {
        self.each(move |counted| counted.count(count))
    }

    /// Returns how much there is now of what the one counts, as far as the other one does not count its end.
    fn left(&self, begun: Count, ended: Count) -> impl Iterator<Item = Sample<'_, u64>> {
        self.each(move |counted| counted.left(begun, ended))
    }

    /// Returns a sample of each process of which the value is known.
    fn of_processes<V>(
        &self,
        value: impl Fn(&Usage) -> Option<V>,
    ) -> impl Iterator<Item = Sample<'_, V>> {
        let this = self
            .this
            .iter()
            .map(|usage| (vec![("process", "main")], usage));
        let others = self.services.iter().flat_map(|service| {
            let processes = service.processes.iter();
            processes.map(|(name, usage)| service.sample("process", name, usage))
        });
        this.chain(others)
            .filter_map(move |(labels, usage)| Some((labels, value(usage)?)))
    }

    fn connections(&self, output: &mut Output<'_>) -> fmt::Result {
        output.counter(
            "connections_accepted",
            "Connections that were accepted, including those that were refused afterwards",
            None,
            self.each(|counted| {
                let begun = counted.count(Count::Begun);
                begun.wrapping_add(counted.count(Count::Denied))
            }),
        )?;
        output.gauge(
            "connections_open",
            "Connections that are open now",
            None,
            self.each(Snapshot::open),
        )
    }

    fn ends(&self, output: &mut Output<'_>) -> fmt::Result {
        let by_cause = |refused: bool| {
            let causes = EndCause::ALL.iter();
            let causes = causes.filter(move |cause| (cause.kind() == Kind::Refused) == refused);
            let services = self.services.iter();
            services.flat_map(move |service| {
                let of_cause = |cause: &EndCause| {
                    service.sample("cause", cause.name(), ended(&service.counted, *cause))
                };
                causes.clone().map(of_cause)
            })
        };
        output.counter(
            "connections_refused",
            "Connections that were refused before the service got them",
            None,
            by_cause(true),
        )?;
        output.counter(
            "connections_ended",
            "Connections that have ended and were not refused",
            None,
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
        output.counter(
            "throttle_wait",
            "How long connections have waited for a rate of bytes",
            Some(&Unit::Seconds),
            self.services.iter().flat_map(|service| {
                let of_direction = |(direction, count)| {
                    let waited = seconds(service.counted.count(count));
                    service.sample("direction", direction, waited)
                };
                waits.map(of_direction)
            }),
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
            self.left(Count::Created, Count::Dropped),
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
            self.left(Count::Grown, Count::Freed),
        )?;
        output.counter(
            "guest_cpu",
            "CPU time of guests, and of the host on their behalf",
            Some(&Unit::Seconds),
            self.each(|counted| seconds(counted.count(Count::CpuTime))),
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
        output.counter(
            "accept_errors",
            "Errors of listeners, by what was short",
            None,
            self.services.iter().flat_map(|service| {
                let of_kind =
                    |(kind, count)| service.sample("kind", kind, service.counted.count(count));
                errors.map(of_kind)
            }),
        )
    }

    fn process(&self, output: &mut Output<'_>) -> fmt::Result {
        self.histogram(
            output,
            "event_loop_lag",
            "How late a timer of a worker thread fires, measured once per second",
            Timing::LoopLag,
        )?;
        output.counter(
            "process_cpu",
            "User and system CPU time of a process",
            Some(&Unit::Seconds),
            self.of_processes(|usage| usage.cpu_seconds),
        )?;
        output.gauge(
            "process_open_fds",
            "Open file descriptors of a process",
            None,
            self.of_processes(|usage| usage.descriptors),
        )?;
        output.gauge(
            "process_memory_mappings",
            "Memory mappings of a process",
            None,
            self.of_processes(|usage| usage.mappings),
        )?;
        output.gauge(
            "process_resident_memory",
            "Resident memory of a process",
            Some(&Unit::Bytes),
            self.of_processes(|usage| usage.resident_bytes),
        )?;
        output.gauge(
            "build_info",
            "Always 1; the version of evconn is a label",
            None,
            [(vec![("version", env!("CARGO_PKG_VERSION"))], 1_u64)],
        )
    }

    fn histogram(
        &self,
        output: &mut Output<'_>,
        name: &str,
        help: &str,
        timing: Timing,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = output
            .0
            .encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (labels, (counts, sum)) in self.each(|counted| {
            let (counts, sum) = counted.timing(timing);
            (counts.to_vec(), sum)
        }) {
            let bounds = timing.bounds().iter().map(|bound| seconds(*bound));
            let bounds = bounds.chain([f64::MAX]);
            let count = counts.iter().copied().fold(0, u64::wrapping_add);
            let buckets: Vec<_> = bounds.zip(counts).collect();
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(seconds(sum), count, &buckets, None)?;
        }
        Ok(())
    }
}

/// Returns how many connections have ended for this reason, or were reset by their listener.
fn ended(counted: &Snapshot, cause: EndCause) -> u64 {
    let by_listener = match cause {
        EndCause::PeerDenied => counted.count(Count::Denied),
        _ => 0,
    };
    counted.ended(cause).wrapping_add(by_listener)
}

/// Where metrics are written to.
struct Output<'a>(DescriptorEncoder<'a>);

impl Output<'_> {
    fn counter<'a, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = Sample<'a, V>>,
    ) -> fmt::Result {
        let counter = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, unit, counter)?;
        for (labels, value) in samples {
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge<'a, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = Sample<'a, V>>,
    ) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit, gauge)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
