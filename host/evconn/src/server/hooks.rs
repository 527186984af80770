//! What an embedder is told of each connection: its begin, and its end with its figures.

use super::ConnectionPhases;
use crate::EndCause;
use crate::runtime::{InstanceUse, Meter};
use crate::sockets::{Endpoint, Peer};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A connection, as [`ServerBuilder::on_begin`](crate::ServerBuilder::on_begin) and
/// [`on_end`](crate::ServerBuilder::on_end) are told of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number, which is that of the log. It is unique among all processes that share a
    /// [`Quota`](crate::Quota).
    pub number: u64,
    /// Its peer. If a proxy announces it, this is the proxy until its header has been read: at the begin.
    pub peer: Peer,
    /// The address at which it came in: for a Unix socket, port 0 of 127.0.0.1.
    pub local: SocketAddr,
    /// The [name](crate::Listener::name) of its listener.
    pub listener: Arc<str>,
}

/// The figures of a connection that has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionEnd {
    /// The bytes that the service has read. With TLS, they are those of the session; neither they nor
    /// [`sent`](Self::sent) include handshakes and PROXY headers.
    pub received: u64,
    /// The bytes that the service has written and the kernel, or the TLS session, has taken.
    pub sent: u64,
    /// The time from its begin to its end: its socket is about to be closed.
    pub duration: Duration,
    /// The CPU time of its guest, its handshake, and of the host for its sake. The time of a guest that may have
    /// several connections is not theirs.
    pub cpu_time: Duration,
    /// The time from its begin to the first byte that was [sent](Self::sent), if any was.
    pub first_byte: Option<Duration>,
    /// The instance that it had, if it was given to one.
    pub instance: Option<InstanceUse>,
    /// When it entered its phases.
    pub phases: ConnectionPhases,
    /// Why it has ended.
    pub cause: EndCause,
}

impl ConnectionEnd {
    pub(super) fn of(
        endpoint: &Endpoint,
        meter: &Meter,
        phases: ConnectionPhases,
        cause: EndCause,
    ) -> Self {
        Self {
            received: endpoint.received(),
            sent: endpoint.sent(),
            duration: meter.age(),
            cpu_time: meter.used(),
            first_byte: endpoint.first_sent().map(|first| meter.age_at(first)),
            instance: meter.instance(),
            phases: ConnectionPhases {
                handled: meter.handled(),
                ..phases
            },
            cause,
        }
    }
}

type OnBegin = Arc<dyn Fn(&ConnectionInfo) + Send + Sync>;
type OnEnd = Arc<dyn Fn(&ConnectionInfo, &ConnectionEnd) + Send + Sync>;

/// What is called at the begin and at the end of a connection.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub on_begin: Option<OnBegin>,
    pub on_end: Option<OnEnd>,
}

impl Hooks {
    /// A connection begins. Nothing, if nobody wants to be told of it.
    pub fn begin(
        &self,
        number: u64,
        endpoint: &Arc<Endpoint>,
        listener: &Arc<str>,
        meter: &Arc<Meter>,
    ) -> Option<Box<Hooked>> {
        if self.on_begin.is_none() && self.on_end.is_none() {
            return None;
        }
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let info = ConnectionInfo {
            number,
            peer: Peer::of(endpoint),
            local: endpoint.local_address().unwrap_or(unknown),
            listener: Arc::clone(listener),
        };
        if let Some(on_begin) = &self.on_begin {
            call("on_begin", || on_begin(&info));
        }
        // Boxed, so that a connection of which nobody wants to be told takes no more memory.
        Some(Box::new(Hooked {
            info,
            on_end: self.on_end.clone(),
            endpoint: Arc::clone(endpoint),
            meter: Arc::clone(meter),
        }))
    }
}

/// A connection whose end has to be told.
pub(super) struct Hooked {
    info: ConnectionInfo,
    /// Taken when it was told.
    on_end: Option<OnEnd>,
    endpoint: Arc<Endpoint>,
    meter: Arc<Meter>,
}

impl Hooked {
    /// The connection has ended.
    pub fn end(mut self, figures: &ConnectionEnd) {
        self.tell(figures);
    }

    fn tell(&mut self, figures: &ConnectionEnd) {
        let Some(on_end) = self.on_end.take() else {
            return;
        };
        // A proxy may have announced it since.
        self.info.peer = Peer::of(&self.endpoint);
        call("on_end", || on_end(&self.info, figures));
    }
}

impl Drop for Hooked {
    /// Its task was dropped before it was done.
    fn drop(&mut self) {
        let phases = ConnectionPhases::default();
        let cause = EndCause::Shutdown;
        let figures = ConnectionEnd::of(&self.endpoint, &self.meter, phases, cause);
        self.tell(&figures);
    }
}

/// Calls a hook. A panic is logged, and ends nothing else.
fn call(name: &str, hook: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(hook)).is_err() {
        tracing::error!("the callback of ServerBuilder::{name} panicked");
    }
}
