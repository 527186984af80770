//! Counts of what a server has served.

use super::words::{Count, Snapshot};
use super::{EndCause, Kind};
use std::fmt;

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
    pub(crate) fn of(counted: &Snapshot) -> Self {
        let of = |kind| {
            let causes = EndCause::ALL.iter().filter(|cause| cause.kind() == kind);
            let counts = causes.map(|cause| counted.ended(*cause));
            counts.fold(0, u64::wrapping_add)
        };
        let denied = counted.count(Count::Denied);
        Self {
            connections: counted.count(Count::Begun).wrapping_add(denied),
            failed: of(Kind::Failed),
            refused: of(Kind::Refused).wrapping_add(denied),
            peer_gone: of(Kind::PeerGone),
            timed_out: of(Kind::TimedOut),
            killed: of(Kind::Killed),
        }
    }

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
