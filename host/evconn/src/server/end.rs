//! How a connection has ended, and what the log says of it.

use super::served::Kind;
use crate::ingress::Refused;
use crate::service::Failure;
use crate::sockets::{Endpoint, Peer};
use std::fmt;
use std::io;
use std::time::Duration;
use tracing::{debug, info, warn};

/// How a connection has ended.
pub(super) enum End {
    /// The service was done with it.
    Done,
    /// The filter of peers does not let it in.
    NotAllowed,
    /// Its peer has as many connections as it may.
    TooManyOfPeer(usize),
    /// The operating system does not say when it is ready.
    NoEventLoop(io::Error),
    /// It did not get through the ingress.
    Refused(Refused),
    /// The service was not done with it.
    Failed(Failure),
    /// Its peer has reset it, is out of reach, or has hung up, before the service was done with it.
    PeerGone,
    /// Its peer has closed it without the end that TLS has for that, and the service gave up on it then.
    HungUp(Failure),
    /// It has lasted as long as it may.
    Timeout(Duration),
    /// Nobody has sent anything for as long as that is allowed.
    Idle(Duration),
    /// The time of grace was over, or a signal said that it ends now.
    Shutdown,
}

impl End {
    /// The service was not done with a connection.
    pub fn of_failure(failure: Failure, endpoint: &Endpoint) -> Self {
        match failure {
            // Clients do so any time; the service has been told that its input may not be all of it.
            Failure::Handler(_) if endpoint.was_cut() => Self::HungUp(failure),
            // The handler says no more than that.
            Failure::Handler(_) if endpoint.plain().has_failed() => Self::PeerGone,
            _ => Self::Failed(failure),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Done => Kind::Done,
            Self::NotAllowed | Self::TooManyOfPeer(_) | Self::NoEventLoop(_) | Self::Refused(_) => {
                Kind::Refused
            }
            Self::Failed(_) => Kind::Failed,
            Self::PeerGone | Self::HungUp(_) => Kind::PeerGone,
            Self::Timeout(_) | Self::Idle(_) => Kind::TimedOut,
            Self::Shutdown => Kind::Killed,
        }
    }

    /// After this one, a connection that was still sending was cut short. Whether it was served or not was
    /// known by then, and a peer that is gone makes no difference.
    pub fn or(self, cut: Self) -> Self {
        match (self, cut) {
            (Self::Done, Self::PeerGone) => Self::Done,
            (Self::Done, cut) => cut,
            (end, _) => end,
        }
    }

    /// Say so in the log: what the peer or the guest may do any time is information, what a guest
    /// should not do is a warning.
    pub fn tell(&self, number: u64, peer: &Peer) {
        match self {
            Self::Done => debug!(number, %peer, "connection done"),
            // Peers do so any time.
            Self::PeerGone | Self::HungUp(_) => debug!(number, %peer, "connection {self}"),
            // That is how many a health check looks.
            Self::Refused(Refused::Closed) => debug!(number, %peer, "connection {self}"),
            Self::NoEventLoop(_) => warn!(number, %peer, "connection {self}"),
            Self::Failed(failure) if let Some(trap) = failure.trap() => {
                let backtrace = trap.backtrace();
                warn!(number, %peer, backtrace, "connection {self}");
            }
            _ => info!(number, %peer, "connection {self}"),
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
            Self::NoEventLoop(error) => write!(f, "refused: it cannot be waited for: {error}"),
            Self::Refused(refused) => write!(f, "refused: {refused}"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
            Self::PeerGone => write!(f, "ended: its peer is gone"),
            Self::HungUp(failure) => write!(
                f,
                "ended: its peer hung up without the end of TLS (close_notify), and {failure}"
            ),
            Self::Timeout(limit) => write!(f, "ended: it has lasted for {limit:?}"),
            Self::Idle(limit) => write!(f, "ended: no byte either way for {limit:?}"),
            Self::Shutdown => write!(f, "ended by the shutdown"),
        }
    }
}
