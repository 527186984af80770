//! What a listener reports about itself.

use crate::ErrorCode;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The state of a listener. If several apply, it is the first one of `Closed`, `Stopped`, `Disabled`,
/// `Paused`, `BackingOff`, `Accepting`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Enabled, with a callback, and accepting.
    Accepting,
    /// Disabled: peers wait in the accept queue.
    Disabled,
    /// Enabled, but without a callback.
    Paused,
    /// A resource is exhausted: the listener accepts again after this time.
    BackingOff(Duration),
    /// Stopped by an error: it accepts no more.
    Stopped(StopReason),
    /// Closed.
    Closed,
}

/// Why a listener has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Accept failed with a fatal error.
    Socket(ErrorCode),
    /// The listener component trapped, and its sockets are closed.
    Trap(Arc<str>),
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(code) => write!(f, "{code}"),
            Self::Trap(message) => write!(f, "the listener component failed: {message}"),
        }
    }
}

/// A reported error of accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptError {
    /// The error.
    pub code: ErrorCode,
    /// What the listener does next.
    pub recovery: Recovery,
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match self.recovery {
            Recovery::Retrying(after) => write!(f, "; trying again in {after:?}"),
            Recovery::Stopped => write!(f, "; no more connections are accepted"),
        }
    }
}

/// What a listener does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It accepts again after this time.
    Retrying(Duration),
    /// It accepts no more.
    Stopped,
}

/// Counts of a listener's events since it was created. All except `held` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Accepted connections that were delivered.
    pub accepted: u64,
    /// Accepted connections whose peer was gone before its address could be read.
    pub aborted: u64,
    /// Errors of accept that were caused by a peer: accepting continued.
    pub peer_errors: u64,
    /// Errors of accept for want of a resource: each began a backoff step.
    pub resource_errors: u64,
    /// Errors of accept that stopped the listener: 0 or 1.
    pub fatal_errors: u64,
    /// Backoff steps begun.
    pub backoff_steps: u64,
    /// Backoff steps ended early.
    pub retries: u64,
    /// Connections that are held for their first byte now.
    pub held: u32,
    /// Held connections that were closed because their first byte did not arrive in time.
    pub timed_out: u64,
}
