//! What an embedder is told of each connection: its begin, and its end with its figures.

use super::end::End;
use crate::runtime::Meter;
use crate::service::Failure;
use crate::sockets::{Endpoint, Peer};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Why it has ended.
    pub cause: EndCause,
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndCause {
    /// The service is done with it.
    Done,
    /// It was refused: the [`PeerFilter`](crate::PeerFilter) denies its peer.
    PeerDenied,
    /// It was refused: its peer has [as many](crate::Limits::max_connections_per_peer) as it may have.
    PeerLimit,
    /// It was refused: its TLS handshake or PROXY header has failed, or was not complete in time.
    Handshake,
    /// It was refused: its handshake was ended for the sake of [others](crate::Limits::max_handshakes).
    HandshakeLimit,
    /// It was refused: its socket cannot be registered with the event loop.
    EventLoop,
    /// The handler has returned an error.
    HandlerError,
    /// The service has exited with this status, which is not 0.
    Exited(i32),
    /// The program has ended before it accepted it, with this status.
    NeverAccepted(i32),
    /// The program was not started for it, since it ends before it accepts.
    NotStarted,
    /// The guest has trapped, or has exceeded a limit for which there is no other variant.
    Trap,
    /// The guest has exceeded [`Limits::cpu_timeout`](crate::Limits::cpu_timeout).
    CpuTimeout,
    /// The guest has exceeded [`Limits::max_handles`](crate::Limits::max_handles).
    HandleLimit,
    /// A function of the host has panicked.
    HostPanic,
    /// The peer has reset it, is unreachable or has hung up, before the service was done with it.
    PeerGone,
    /// It has reached [`Limits::timeout`](crate::Limits::timeout).
    Timeout,
    /// It has reached [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    IdleTimeout,
    /// The program has not accepted it within [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    NotAccepted,
    /// The shutdown has reset it, after the grace period or at a second signal; or the server, or its host, was
    /// dropped.
    Shutdown,
    /// [`ServerHandle::reset`](crate::ServerHandle::reset) has ended it.
    Reset,
}

impl EndCause {
    fn of(end: &End) -> Self {
        match end {
            End::Done => Self::Done,
            End::NotAllowed => Self::PeerDenied,
            End::TooManyOfPeer(_) => Self::PeerLimit,
            End::NoEventLoop(_) => Self::EventLoop,
            End::Refused(_) => Self::Handshake,
            End::Crowded(_) => Self::HandshakeLimit,
            End::Failed(failure) => Self::of_failure(failure),
            End::PeerGone | End::HungUp(_) => Self::PeerGone,
            End::Timeout(_) => Self::Timeout,
            End::Idle(_) => Self::IdleTimeout,
            End::NotAccepted(_) => Self::NotAccepted,
            End::Shutdown => Self::Shutdown,
            End::Reset => Self::Reset,
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::Handler(_) => Self::HandlerError,
            Failure::Exited(status) => Self::Exited(*status),
            Failure::NeverAccepted { status, .. } => Self::NeverAccepted(*status),
            Failure::NotStarted(_) | Failure::NotMade(_) => Self::NotStarted,
            Failure::CpuTimeout { .. } => Self::CpuTimeout,
            Failure::TooManyHandles { .. } => Self::HandleLimit,
            Failure::Panicked(_) => Self::HostPanic,
            Failure::Trap { .. } => Self::Trap,
            Failure::Instance { failure, .. } => Self::of_failure(failure),
            // With the host. No connection has the other one.
            Failure::InstanceGone | Failure::NoRoom => Self::Shutdown,
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
            since: Instant::now(),
            on_end: self.on_end.clone(),
            endpoint: Arc::clone(endpoint),
            meter: Arc::clone(meter),
        }))
    }
}

/// A connection whose end has to be told.
pub(super) struct Hooked {
    info: ConnectionInfo,
    since: Instant,
    /// Taken when it was told.
    on_end: Option<OnEnd>,
    endpoint: Arc<Endpoint>,
    meter: Arc<Meter>,
}

impl Hooked {
    /// The connection has ended.
    pub fn end(mut self, end: &End) {
        self.tell(EndCause::of(end));
    }

    fn tell(&mut self, cause: EndCause) {
        let Some(on_end) = self.on_end.take() else {
            return;
        };
        // A proxy may have announced it since.
        self.info.peer = Peer::of(&self.endpoint);
        let end = ConnectionEnd {
            received: self.endpoint.received(),
            sent: self.endpoint.sent(),
            duration: self.since.elapsed(),
            cpu_time: self.meter.used(),
            cause,
        };
        call("on_end", || on_end(&self.info, &end));
    }
}

impl Drop for Hooked {
    /// Its task was dropped before it was done.
    fn drop(&mut self) {
        self.tell(EndCause::Shutdown);
    }
}

/// Calls a hook. A panic is logged, and ends nothing else.
fn call(name: &str, hook: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(hook)).is_err() {
        tracing::error!("the callback of ServerBuilder::{name} panicked");
    }
}
