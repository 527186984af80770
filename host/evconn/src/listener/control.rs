//! The state that the handles and the acceptor's task share: what the handles request, and what the
//! acceptor does. Neither waits for the other.

use super::callback::{ConnectionCallback, ErrorCallback};
use super::{Stats, StopReason};
use std::time::Instant;

/// What the handles request.
#[derive(Clone, Default)]
pub(crate) struct Control {
    pub enabled: bool,
    pub on_connection: Option<ConnectionCallback>,
    pub on_error: Option<ErrorCallback>,
    /// The number of calls of `retry`.
    pub retries: u64,
    /// Whether to close once the accept queue is empty.
    pub draining: bool,
    /// Whether a drain leaves the accept queue to other processes.
    pub leaves_queue: bool,
    pub closed: bool,
}

impl Control {
    /// Returns whether a closure or a task may be started.
    pub fn may_start(&self) -> bool {
        self.enabled && !self.closed
    }

    /// Returns the settings that apply to the component.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            enabled: self.enabled,
            has_callback: self.on_connection.is_some(),
            retries: self.retries,
            draining: self.draining,
            leaves_queue: self.leaves_queue,
        }
    }
}

/// The part of [`Control`] that applies to the component and its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub enabled: bool,
    pub has_callback: bool,
    pub retries: u64,
    pub draining: bool,
    pub leaves_queue: bool,
}

/// What the acceptor's task does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub backing_off_until: Option<Instant>,
    pub stopped: Option<StopReason>,
    pub stats: Stats,
    /// Whether a closure is running.
    pub in_closure: bool,
    /// Whether the sockets are closed. No closure is started then.
    pub closed: bool,
}
