//! A trace as spans: that of the connection, and those of its phases.

use super::{Party, Trace};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use std::net::SocketAddr;
use std::time::Duration;

/// Returns the spans of a connection, its own first.
pub fn spans(trace: &Trace) -> Vec<SpanData> {
    let ids = RandomIdGenerator::default();
    let trace_id = ids.new_trace_id();
    let own_id = ids.new_span_id();
    let mut own = span(
        trace,
        trace_id,
        own_id,
        ("connection", Duration::ZERO, trace.duration),
    );
    own.span_kind = SpanKind::Server;
    own.attributes = attributes(trace);
    if trace.has_failed {
        own.status = Status::error(trace.cause.clone());
    }
    let phases = phases(trace).into_iter().map(|phase| {
        let mut span = span(trace, trace_id, ids.new_span_id(), phase);
        span.parent_span_id = own_id;
        span
    });
    [own].into_iter().chain(phases).collect()
}

/// Returns the phases that a connection had: names, begins and ends.
fn phases(trace: &Trace) -> Vec<(&'static str, Duration, Duration)> {
    let phases = &trace.phases;
    let begins = [
        ("handshake", Some(Duration::ZERO)),
        ("instantiate", phases.admitted),
        ("handle", phases.handled),
        ("relay", phases.without_instance),
        ("drain", phases.lingering),
    ];
    let mut all: Vec<(_, Duration, Duration)> = Vec::new();
    for (name, begin) in begins {
        let Some(begin) = begin.map(|begin| begin.min(trace.duration)) else {
            continue;
        };
        if let Some((_, _, end)) = all.last_mut() {
            *end = begin;
        }
        all.push((name, begin, trace.duration));
    }
    all
}

fn span(
    trace: &Trace,
    trace_id: TraceId,
    id: SpanId,
    (name, begin, end): (&'static str, Duration, Duration),
) -> SpanData {
    let version = env!("CARGO_PKG_VERSION");
    let scope = InstrumentationScope::builder("evconn").with_version(version);
    SpanData {
        span_context: SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: trace.begun + begin,
        end_time: trace.begun + end,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.build(),
    }
}

/// Names of OpenTelemetry's conventions, where they have one.
fn attributes(trace: &Trace) -> Vec<KeyValue> {
    let number = |name: &'static str, value: u64| {
        KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX))
    };
    let text = |name: &'static str, value: &str| KeyValue::new(name, value.to_owned());
    let mut all = vec![
        number("evconn.connection.number", trace.number),
        text("evconn.listener", &trace.listener),
        text("evconn.cause", &trace.cause),
        number("evconn.received_bytes", trace.received),
        number("evconn.sent_bytes", trace.sent),
        KeyValue::new("evconn.cpu_time_seconds", trace.cpu_time.as_secs_f64()),
    ];
    if let Some(time) = trace.first_byte {
        all.push(KeyValue::new(
            "evconn.first_byte_seconds",
            time.as_secs_f64(),
        ));
    }
    if let Some(instance) = &trace.instance {
        all.push(text("evconn.instance", instance));
    }
    match &trace.peer {
        Party::Address(address) => {
            all.push(text("network.transport", "tcp"));
            all.extend(of_address(
                ["network.peer.address", "network.peer.port"],
                *address,
            ));
        }
        Party::Unix(peer) => {
            all.push(text("network.transport", "unix"));
            all.push(text("network.peer.address", peer));
        }
    }
    let names = ["network.local.address", "network.local.port"];
    all.extend(
        trace
            .local
            .into_iter()
            .flat_map(|local| of_address(names, local)),
    );
    all
}

fn of_address([address, port]: [&'static str; 2], of: SocketAddr) -> [KeyValue; 2] {
    [
        KeyValue::new(address, of.ip().to_canonical().to_string()),
        KeyValue::new(port, i64::from(of.port())),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Phases;
    use super::*;
    use std::time::SystemTime;

    fn trace(phases: Phases) -> Trace {
        Trace {
            number: 7,
            peer: Party::Address("[::ffff:192.0.2.1]:40000".parse().expect("an address")),
            local: None,
            listener: ":1".to_owned(),
            begun: SystemTime::UNIX_EPOCH,
            duration: Duration::from_secs(10),
            phases,
            received: 1,
            sent: 2,
            cpu_time: Duration::ZERO,
            first_byte: None,
            instance: None,
            cause: "trap".to_owned(),
            has_failed: true,
        }
    }

    #[test]
    fn a_phase_lasts_until_the_next_one() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let names = |phases| {
            let spans = spans(&trace(phases)).into_iter();
            let since = |time: SystemTime| {
                let since = time.duration_since(SystemTime::UNIX_EPOCH);
                since.expect("later").as_secs()
            };
            spans
                .map(|span| {
                    (
                        span.name.into_owned(),
                        since(span.start_time),
                        since(span.end_time),
                    )
                })
                .collect::<Vec<_>>()
        };
        let expect = |all: &[(&str, u64, u64)]| {
            let all = all.iter().copied();
            all.map(|(name, begin, end)| (name.to_owned(), begin, end))
                .collect::<Vec<_>>()
        };
        let all = Phases {
            admitted: seconds(1),
            handled: seconds(2),
            without_instance: seconds(5),
            // It was cut while it entered it.
            lingering: seconds(11),
        };
        assert_eq!(
            names(all),
            expect(&[
                ("connection", 0, 10),
                ("handshake", 0, 1),
                ("instantiate", 1, 2),
                ("handle", 2, 5),
                ("relay", 5, 10),
                ("drain", 10, 10),
            ])
        );
        assert_eq!(
            names(Phases::default()),
            expect(&[("connection", 0, 10), ("handshake", 0, 10)])
        );
    }

    #[test]
    fn a_connection_has_one_trace_and_names_its_peer() {
        let spans = spans(&trace(Phases::default()));
        let [own, phase] = &spans[..] else {
            panic!("{spans:?}");
        };
        assert_eq!(own.span_context.trace_id(), phase.span_context.trace_id());
        assert_eq!(phase.parent_span_id, own.span_context.span_id());
        assert_ne!(phase.span_context.span_id(), own.span_context.span_id());
        assert_eq!(own.status, Status::error("trap"));
        let peer = KeyValue::new("network.peer.address", "192.0.2.1");
        assert!(own.attributes.contains(&peer), "{own:?}");
    }
}
