//! Traces: a span for each connection, with its phases, for a collector of OpenTelemetry.
//!
//! What is told of a connection is complete when it ends: [`Collector`] makes a [`Trace`] of it in the process that has
//! served it, and [`Exporter`] sends those of all processes, from one place, as spans.

mod collector;
mod exporter;
mod spans;

pub use collector::{Batch, Collector};
pub use exporter::{Endpoint, Exporter, Exporting};

use evconn::sockets::Peer;
use evconn::{ConnectionEnd, ConnectionInfo, ConnectionPhases};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// A connection that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    number: u64,
    peer: Party,
    local: Option<SocketAddr>,
    listener: String,
    begun: SystemTime,
    duration: Duration,
    phases: Phases,
    received: u64,
    sent: u64,
    cpu_time: Duration,
    first_byte: Option<Duration>,
    instance: Option<String>,
    /// Why it has ended, as metrics have it.
    cause: String,
    has_failed: bool,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Party {
    Address(SocketAddr),
    Unix(String),
}

/// When it entered its phases, since its begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Phases {
    admitted: Option<Duration>,
    handled: Option<Duration>,
    without_instance: Option<Duration>,
    lingering: Option<Duration>,
}

impl Trace {
    /// Returns the trace of a connection that has ended now.
    fn of(info: &ConnectionInfo, end: &ConnectionEnd) -> Self {
        let (peer, local) = match info.peer {
            Peer::Address(address) => (Party::Address(address), Some(info.local)),
            Peer::Unix(_) => (Party::Unix(info.peer.to_string()), None),
        };
        let now = SystemTime::now();
        Self {
            number: info.number,
            peer,
            local,
            listener: info.listener.to_string(),
            begun: now.checked_sub(end.duration).unwrap_or(now),
            duration: end.duration,
            phases: Phases::of(end.phases),
            received: end.received,
            sent: end.sent,
            cpu_time: end.cpu_time,
            first_byte: end.first_byte,
            instance: end.instance.map(|instance| instance.name().to_owned()),
            cause: end.cause.name().to_owned(),
            has_failed: end.cause.is_failure(),
        }
    }
}

impl Phases {
    fn of(phases: ConnectionPhases) -> Self {
        Self {
            admitted: phases.admitted,
            handled: phases.handled,
            without_instance: phases.without_instance,
            lingering: phases.lingering,
        }
    }
}
