//! What the loop turns for: listeners, connections, and those that are being closed.

use super::closing::Remains;
use super::{Core, EventBase};
use std::rc::Rc;

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// A connection can be accepted, bytes can be read, or a connect is done.
    Input,
    /// Bytes can be written.
    Output,
    /// Nothing was read for too long.
    InputTimeout,
    /// Nothing was written for too long.
    OutputTimeout,
}

/// The loop calls it with nothing borrowed.
pub trait Source {
    /// What it waits for is ready, perhaps.
    fn ready(self: Rc<Self>, base: &EventBase, interest: Interest);

    /// It has said that something changed, and the loop is about to wait: do what can be done
    /// now, and say what to wait for.
    fn settle(self: Rc<Self>, base: &EventBase);

    /// The base that kept it goes. Returns the connection that is to be closed.
    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains>;
}
