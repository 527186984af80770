//! Why connections end.

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
    /// It was refused: its peer opens more per second than it [may](crate::Limits::accept_rate_per_peer).
    PeerRate,
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
    /// The process that served it has died. It is counted by the [`Quota`](crate::Quota) that the process was a member
    /// of; no callback is told of it.
    #[cfg_attr(not(unix), doc(hidden))]
    WorkerDied,
    /// [`ServerHandle::reset`](crate::ServerHandle::reset) has ended it.
    Reset,
}

/// How a connection counts in [`Served`](crate::Served).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Done,
    /// It was reset by its number, which has no count of its own.
    Reset,
    Failed,
    PeerGone,
    Refused,
    TimedOut,
    Killed,
}

impl EndCause {
    /// One of each, in the order of their words.
    pub(super) const ALL: [Self; 22] = [
        Self::Done,
        Self::PeerDenied,
        Self::PeerLimit,
        Self::PeerRate,
        Self::Handshake,
        Self::HandshakeLimit,
        Self::EventLoop,
        Self::HandlerError,
        Self::Exited(1),
        Self::NeverAccepted(1),
        Self::NotStarted,
        Self::Trap,
        Self::CpuTimeout,
        Self::HandleLimit,
        Self::HostPanic,
        Self::PeerGone,
        Self::Timeout,
        Self::IdleTimeout,
        Self::NotAccepted,
        Self::Shutdown,
        Self::WorkerDied,
        Self::Reset,
    ];

    /// Returns its name in metrics and in the access log. It does not include a status.
    pub fn name(&self) -> &'static str {
        self.row().1
    }

    /// Returns whether the service has failed, or the host: that is no fault of the peer's, and no limit.
    pub fn is_failure(&self) -> bool {
        self.kind() == Kind::Failed
    }

    /// Returns how a connection counts that has ended for this reason.
    pub(crate) fn kind(self) -> Kind {
        self.row().2
    }

    /// Returns its position among [all](Self::ALL).
    pub(super) fn index(self) -> usize {
        self.row().0
    }

    fn row(self) -> (usize, &'static str, Kind) {
        match self {
            Self::Done => (0, "done", Kind::Done),
            Self::PeerDenied => (1, "peer_denied", Kind::Refused),
            Self::PeerLimit => (2, "peer_limit", Kind::Refused),
            Self::PeerRate => (3, "peer_rate", Kind::Refused),
            Self::Handshake => (4, "handshake", Kind::Refused),
            Self::HandshakeLimit => (5, "handshake_limit", Kind::Refused),
            Self::EventLoop => (6, "event_loop", Kind::Refused),
            Self::HandlerError => (7, "handler_error", Kind::Failed),
            Self::Exited(_) => (8, "exited", Kind::Failed),
            Self::NeverAccepted(_) => (9, "never_accepted", Kind::Failed),
            Self::NotStarted => (10, "not_started", Kind::Failed),
            Self::Trap => (11, "trap", Kind::Failed),
            Self::CpuTimeout => (12, "cpu_timeout", Kind::Failed),
            Self::HandleLimit => (13, "handle_limit", Kind::Failed),
            Self::HostPanic => (14, "host_panic", Kind::Failed),
            Self::PeerGone => (15, "peer_gone", Kind::PeerGone),
            Self::Timeout => (16, "timeout", Kind::TimedOut),
            Self::IdleTimeout => (17, "idle_timeout", Kind::TimedOut),
            Self::NotAccepted => (18, "not_accepted", Kind::TimedOut),
            Self::Shutdown => (19, "shutdown", Kind::Killed),
            Self::WorkerDied => (20, "worker_died", Kind::Failed),
            Self::Reset => (21, "reset", Kind::Reset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_has_a_place_and_a_name_of_its_own() {
        for (index, cause) in EndCause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), index, "{cause:?}");
        }
        let names: BTreeSet<_> = EndCause::ALL.iter().map(EndCause::name).collect();
        assert_eq!(names.len(), EndCause::ALL.len());
        assert_eq!(EndCause::Exited(7).name(), "exited");
    }
}
