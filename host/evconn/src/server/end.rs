//! How a connection has ended, and what is logged about it.

use super::handshakes::Crowded;
use crate::ingress::Refused;
use crate::log::{LogBudget, Reserved};
use crate::metrics::Kind;
use crate::service::Failure;
use crate::sockets::{Endpoint, Peer};
use crate::{EndCause, GuestTrap};
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How a connection has ended.
pub(super) enum End {
    /// The service is done with it.
    Done,
    /// The peer filter denies its peer.
    NotAllowed,
    /// Its peer already has the maximum number of connections.
    TooManyOfPeer(usize),
    /// Its peer opens more connections per second than it may.
    TooFastOfPeer(NonZeroU32),
    /// Its socket cannot be registered with the event loop.
    NoEventLoop(io::Error),
    /// The ingress refused it.
    Refused(Refused),
    /// Its handshake was ended for the sake of others.
    Crowded(Crowded),
    /// The service failed.
    Failed(Failure),
    /// Its peer has reset it, is unreachable or has hung up, before the service was done with it.
    PeerGone,
    /// Its peer has closed it without TLS's `close_notify`, and the service returned an error for that
    /// reason.
    HungUp(Failure),
    /// It has reached its maximum duration.
    Timeout(Duration),
    /// No byte was sent in either direction for as long as is allowed.
    Idle(Duration),
    /// Its program has not accepted it for as long as that.
    NotAccepted(Duration),
    /// The shutdown has reset it, after the grace period or at a second signal.
    Shutdown,
    /// It was reset by its number.
    Reset,
}

impl End {
    /// Returns how a connection has ended whose service failed.
    pub fn of_failure(failure: Failure, endpoint: &Endpoint) -> Self {
        match failure {
            // This is common among clients; the service has been told that its input may be incomplete.
            Failure::Handler(_) | Failure::Exited(_) if endpoint.was_cut() => Self::HungUp(failure),
            // The service's error says no more than that.
            Failure::Handler(_) | Failure::Exited(_) if endpoint.plain().has_failed() => {
                Self::PeerGone
            }
            _ => Self::Failed(failure),
        }
    }

    /// Returns the cause, as it is counted and told.
    pub fn cause(&self) -> EndCause {
        match self {
            Self::Done => EndCause::Done,
            Self::NotAllowed => EndCause::PeerDenied,
            Self::TooManyOfPeer(_) => EndCause::PeerLimit,
            Self::TooFastOfPeer(_) => EndCause::PeerRate,
            Self::NoEventLoop(_) => EndCause::EventLoop,
            Self::Refused(_) => EndCause::Handshake,
            Self::Crowded(_) => EndCause::HandshakeLimit,
            Self::Failed(failure) => cause_of(failure),
            Self::PeerGone | Self::HungUp(_) => EndCause::PeerGone,
            Self::Timeout(_) => EndCause::Timeout,
            Self::Idle(_) => EndCause::IdleTimeout,
            Self::NotAccepted(_) => EndCause::NotAccepted,
            Self::Shutdown => EndCause::Shutdown,
            Self::Reset => EndCause::Reset,
        }
    }

    /// Returns the end of a connection that ended in this way, and was then ended early while it was
    /// still sending. Whether it was served was decided before, and a peer that is gone does not change
    /// that.
    pub fn or(self, cut: Self) -> Self {
        match (self, cut) {
            (Self::Done, Self::PeerGone) => Self::Done,
            (Self::Done, cut) => cut,
            (end, _) => end,
        }
    }

    /// Prepares what takes long to make for the log, on another thread.
    pub async fn prepare(&self) {
        if let Self::Failed(failure) = self
            && let Some(trap) = failure.trap()
        {
            trap.prepare_backtrace().await;
        }
    }

    /// Logs the end, as far as the log budget allows it. What peers and guests regularly do is information; what a
    /// guest should not do is a warning.
    pub fn log(&self, number: u64, peer: &Peer, budget: &LogBudget) {
        match self {
            Self::Done => debug!(number, %peer, "connection done"),
            // This is common among peers.
            Self::PeerGone | Self::HungUp(_) => debug!(number, %peer, "connection {self}"),
            // Many health checks look like this.
            Self::Refused(Refused::Closed) => debug!(number, %peer, "connection {self}"),
            _ if self.cause().kind() == Kind::Refused => self.log_refusal(number, peer, budget),
            Self::Failed(failure) if failure.is_known() => {
                debug!(number, %peer, "connection {self}");
            }
            // Its backtrace takes time to make.
            Self::Failed(failure) if let Some(trap) = failure.trap() => {
                if let Some(reserved) = budget.reserve(peer) {
                    self.log_trap(number, peer, trap, reserved);
                }
            }
            _ => {
                let text = self.to_string();
                if budget.take(peer, &text) {
                    info!(number, %peer, "connection {text}");
                }
            }
        }
    }

    /// Logs a refused connection: for those who debug only if another one was logged just before.
    fn log_refusal(&self, number: u64, peer: &Peer, budget: &LogBudget) {
        match (self, budget.refuse().map(Others)) {
            (_, None) => debug!(number, %peer, "connection {self}"),
            (Self::NoEventLoop(_), Some(others)) => {
                warn!(number, %peer, "connection {self}{others}");
            }
            (_, Some(others)) => info!(number, %peer, "connection {self}{others}"),
        }
    }

    fn log_trap(&self, number: u64, peer: &Peer, trap: &GuestTrap, reserved: Reserved<'_>) {
        let (text, backtrace) = (self.to_string(), trap.backtrace());
        let shown = [&text, backtrace.as_deref().unwrap_or_default()];
        if reserved.spend(&shown) {
            warn!(number, %peer, backtrace, "connection {text}");
        }
    }
}

fn cause_of(failure: &Failure) -> EndCause {
    match failure {
        Failure::Handler(_) => EndCause::HandlerError,
        Failure::Exited(status) => EndCause::Exited(*status),
        Failure::NeverAccepted { status, .. } => EndCause::NeverAccepted(*status),
        Failure::NotStarted(_) | Failure::NotMade(_) => EndCause::NotStarted,
        Failure::CpuTimeout { .. } => EndCause::CpuTimeout,
        Failure::TooManyHandles { .. } => EndCause::HandleLimit,
        Failure::Panicked(_) => EndCause::HostPanic,
        Failure::Trap { .. } => EndCause::Trap,
        Failure::Instance { failure, .. } => cause_of(failure),
        // With the host. No connection has the other one.
        Failure::InstanceGone | Failure::NoRoom => EndCause::Shutdown,
    }
}

/// How many other connections were refused and not logged, as the end of a line.
pub(super) struct Others(pub u64);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " (refused and not logged before: {count})"),
        }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::NotAllowed => write!(f, "refused: its peer may not connect"),
            Self::TooManyOfPeer(most) => {
                write!(f, "refused: its peer has {most} connections already")
            }
            Self::TooFastOfPeer(most) => {
                write!(f, "refused: its peer opens more than {most} per second")
            }
            Self::NoEventLoop(error) => write!(
                f,
                "refused: cannot register its socket with the event loop: {error}"
            ),
            Self::Refused(refused) => write!(f, "refused: {refused}"),
            Self::Crowded(crowded) => write!(f, "refused: {crowded}"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
            Self::PeerGone => write!(f, "ended: its peer is gone"),
            Self::HungUp(failure) => write!(
                f,
                "ended: its peer hung up without the end of TLS (close_notify), and {failure}"
            ),
            Self::Timeout(limit) => write!(f, "ended: it has lasted for {limit:?}"),
            Self::Idle(limit) => write!(f, "ended: no byte either way for {limit:?}"),
            Self::NotAccepted(limit) => write!(
                f,
                "ended: its program has not accepted it for {limit:?}, on the first socket on which it listens"
            ),
            Self::Shutdown => write!(f, "ended by the shutdown"),
            Self::Reset => write!(f, "ended: it was reset by its number"),
        }
    }
}
