//! The event base: what is waited for, and the loop that waits.
//!
//! Where it ends: what is done when something is ready is the business of each
//! [`Source`](source::Source): listeners, connections, and those that are being closed.

pub(crate) mod closing;
mod event_base;
mod idle;
mod polls;
pub(crate) mod source;
mod timer;
mod timers;

pub(crate) use event_base::Core;
pub use event_base::{Ended, EventBase};
pub(crate) use idle::Patience;
pub use timer::Timer;
pub(crate) use timers::{TimerKey, nanoseconds};
