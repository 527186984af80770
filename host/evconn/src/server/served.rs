//! What serving came to, counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What serving came to. Each connection that ended counts once at most besides
/// [`connections`](Self::connections).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were accepted, whatever became of them.
    pub connections: u64,
    /// Connections that the service gave up with an error, in which it trapped, or in which it ran
    /// into a limit.
    pub failed: u64,
    /// Connections that did not get as far as the service: their peer may not connect, or has too many
    /// already, their TLS handshake failed, say, or their proxy is not trusted.
    pub refused: u64,
    /// Connections whose peer was gone before the service was done with them: it has reset them, say, or
    /// closed them without TLS's `close_notify`.
    pub peer_gone: u64,
    /// Connections that took too long: [`Limits::timeout`](crate::Limits::timeout) or
    /// [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    pub timed_out: u64,
    /// Connections that were still open after the time of grace, and were reset then.
    pub killed: u64,
}

impl Served {
    /// Whether the end was clean: no connection had to be reset for it.
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

/// How a connection has ended, as far as it is counted.
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
    /// Those that were reset by their listener, and never began.
    turned_away: AtomicU64,
    failed: AtomicU64,
    peer_gone: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    killed: AtomicU64,
}

impl Counters {
    /// One more connection. Returns its number: the first is 1.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// One that its listener has reset, since its peer may not connect.
    pub fn turn_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
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
        let turned_away = read(&self.turned_away);
        Served {
            connections: self.begun() + turned_away,
            failed: read(&self.failed),
            peer_gone: read(&self.peer_gone),
            refused: read(&self.refused) + turned_away,
            timed_out: read(&self.timed_out),
            killed: read(&self.killed),
        }
    }
}
