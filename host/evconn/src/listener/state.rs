//! What a listener says of itself.

use crate::ErrorCode;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a listener is doing. Where several apply, the first one of `Closed`, `Stopped`, `Disabled`,
/// `Paused`, `BackingOff`, `Accepting` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Enabled, a callback is set, and nothing is in the way.
    Accepting,
    /// Disabled: peers wait in the kernel's queue.
    Disabled,
    /// Enabled, but no callback is set.
    Paused,
    /// A resource ran out: accepting is tried again after this long.
    BackingOff(Duration),
    /// It accepts no more.
    Stopped(StopReason),
    /// It was closed.
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

/// An error of accept that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptError {
    /// What happened.
    pub code: ErrorCode,
    /// What happens next.
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
    /// It accepts again after this long.
    Retrying(Duration),
    /// It accepts no more.
    Stopped,
}

/// What has happened since a listener was made. All but `held` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were taken.
    pub accepted: u64,
    /// Peers that were accepted but had gone before their address was read.
    pub aborted: u64,
    /// Errors of accept that were the peer's: accepting went on.
    pub peer_errors: u64,
    /// Errors of accept for want of a resource: each one began a backoff step.
    pub resource_errors: u64,
    /// Errors of accept that stopped the listener: 0 or 1.
    pub fatal_errors: u64,
    /// Backoff steps that were begun.
    pub backoff_steps: u64,
    /// Backoff steps that were cut short.
    pub retries: u64,
    /// Connections held now for their first byte.
    pub held: u32,
    /// Held connections that were closed because no byte came in time.
    pub timed_out: u64,
}
