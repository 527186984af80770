//! What handles and the acceptor's task share: the one side says what it wants, the other what it
//! does. Neither ever waits for the other.

use super::callback::{ConnectionCallback, ErrorCallback};
use super::{Stats, StopReason};
use std::time::Instant;

/// What the handles want.
#[derive(Clone, Default)]
pub(crate) struct Control {
    pub enabled: bool,
    pub on_connection: Option<ConnectionCallback>,
    pub on_error: Option<ErrorCallback>,
    /// Counts the calls of `retry`.
    pub retries: u64,
    /// To be closed when nobody waits any more.
    pub draining: bool,
    pub closed: bool,
}

impl Control {
    /// Whether a closure or a task may be started.
    pub fn may_start(&self) -> bool {
        self.enabled && !self.closed
    }

    /// What the component has to be told.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            enabled: self.enabled,
            has_callback: self.on_connection.is_some(),
            retries: self.retries,
            draining: self.draining,
        }
    }
}

/// The part of [`Control`] that the component and its sockets are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub enabled: bool,
    pub has_callback: bool,
    pub retries: u64,
    pub draining: bool,
}

/// What the acceptor's task does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub backing_off_until: Option<Instant>,
    pub stopped: Option<StopReason>,
    pub stats: Stats,
    /// A closure is running.
    pub in_closure: bool,
    /// The sockets are closed, and no closure will be started any more.
    pub closed: bool,
}
