//! The event base: the set of things that it waits for, and the loop that waits.
//!
//! Out of scope: what happens when something is ready. Each [`Source`] decides that for itself.

mod closing;
mod closing_limits;
mod core;
mod dispatch;
mod event_base;
mod idle_timeout;
mod polls;
mod timer;
mod timers;

pub(crate) use self::core::{Core, Interest, Source};
pub(crate) use closing::close;
pub use dispatch::Ended;
pub use event_base::EventBase;
pub(crate) use idle_timeout::IdleTimeout;
pub use timer::Timer;
pub(crate) use timers::nanoseconds;
