//! The counters of a listener.

/// The counters since the listener was made, as in the WIT record `stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that were delivered.
    pub accepted: u64,
    /// Accepted connections whose peer was gone before its address was read.
    pub aborted: u64,
    /// Accept errors of the class [`Peer`](crate::Class::Peer).
    pub peer_errors: u64,
    /// Accept errors of the class [`Resource`](crate::Class::Resource).
    pub resource_errors: u64,
    /// Accept errors of the class [`Fatal`](crate::Class::Fatal).
    pub fatal_errors: u64,
    /// Backoff steps that have begun.
    pub backoff_steps: u64,
    /// Backoff steps that `retry` has ended early.
    pub retries: u64,
    /// Held connections that were closed because no byte arrived in time.
    pub timed_out: u64,
}
