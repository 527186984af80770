//! The listener's state machine: what it is doing, what an error of accept means, and when it
//! tries again.
//!
//! It is plain Rust: it makes no call to the host and is told the time, so that every rule of
//! `wit/SEMANTICS.md` can be tested natively. Sockets and bindings are the listener component's.

#![deny(missing_docs)]

mod backoff;
mod class;
mod machine;
mod stats;

pub use backoff::{Backoff, LONGEST_STEP, SHORTEST_STEP};
pub use class::{Class, classify};
pub use machine::{ErrorReport, Machine, Recovery, Settings, State};
pub use stats::Stats;

/// A callback: the caller's number, which comes back with each event.
pub type Callback = u64;

/// A point in time of `wasi:clocks/monotonic-clock`, in nanoseconds.
pub type Instant = u64;

/// A length of time in nanoseconds.
pub type Duration = u64;
