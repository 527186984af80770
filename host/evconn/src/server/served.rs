//! Counts of what a server has served.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of what a server has served. In addition to [`connections`](Self::connections), each connection
/// that has ended counts in at most one of the other fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were accepted, whatever their outcome.
    pub connections: u64,
    /// Connections for which the service returned an error, trapped or exceeded a limit.
    pub failed: u64,
    /// Connections that were refused before the service got them: the peer is denied or has too many
    /// connections, the TLS handshake failed, or the proxy is not trusted, for example.
    pub refused: u64,
    /// Connections that the peer ended before the service was done with them: it reset them, for example,
    /// or closed them without TLS's `close_notify`.
    pub peer_gone: u64,
    /// Connections that exceeded [`Limits::timeout`](crate::Limits::timeout) or
    /// [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    pub timed_out: u64,
    /// Connections that were still open after the grace period, and were reset.
    pub killed: u64,
}

impl Served {
    /// Returns whether the shutdown was clean: no connection had to be reset for it.
    pub fn is_clean(&self) -> bool {
        self.killed == 0
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = match self.connections {
            1 => "",
            _ => "s",
        };
        write!(
            f,
            "served {} connection{s}, of which {} were refused, {} failed, {} lost their peer, {} timed out and {} were ended by the shutdown",
            self.connections,
            self.refused,
            self.failed,
            self.peer_gone,
            self.timed_out,
            self.killed
        )
    }
}

/// The outcome of a connection, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Done,
    Failed,
    PeerGone,
    Refused,
    TimedOut,
    Killed,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    begun: AtomicU64,
    /// Connections that were reset by their listener and never began.
    denied: AtomicU64,
    failed: AtomicU64,
    peer_gone: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    killed: AtomicU64,
}

impl Counters {
    /// Counts a connection, and returns its number. The first one is 1.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Counts a connection that its listener has reset, since its peer is denied.
    pub fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub fn end(&self, kind: Kind) {
        let counter = match kind {
            Kind::Done => return,
            Kind::Failed => &self.failed,
            Kind::PeerGone => &self.peer_gone,
            Kind::Refused => &self.refused,
            Kind::TimedOut => &self.timed_out,
            Kind::Killed => &self.killed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn served(&self) -> Served {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let denied = read(&self.denied);
        Served {
            connections: self.begun() + denied,
            failed: read(&self.failed),
            peer_gone: read(&self.peer_gone),
            refused: read(&self.refused) + denied,
            timed_out: read(&self.timed_out),
            killed: read(&self.killed),
        }
    }
}
