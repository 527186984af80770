//! What has happened since the listener was made.

/// The counters behind the WIT record `stats`, which says what each one means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that were delivered.
    pub accepted: u64,
    /// Peers that had gone before their address was read.
    pub aborted: u64,
    /// Errors of accept of class [`Peer`](crate::Class::Peer).
    pub peer_errors: u64,
    /// Errors of accept of class [`Resource`](crate::Class::Resource).
    pub resource_errors: u64,
    /// Errors of accept of class [`Fatal`](crate::Class::Fatal).
    pub fatal_errors: u64,
    /// Backoff steps that were begun.
    pub backoff_steps: u64,
    /// Backoff steps that were cut short.
    pub retries: u64,
    /// Held connections that were closed for want of a byte.
    pub timed_out: u64,
}
