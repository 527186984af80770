//! The listener's state machine: its states, the classes of accept errors, and the backoff.
//!
//! The crate makes no host call and takes the time as an argument, so that the rules of `wit/SEMANTICS.md` can be
//! tested natively. Out of scope: sockets and bindings, which the component `listener.wasm` has.

#![deny(missing_docs)]

mod backoff;
mod class;
mod machine;
mod stats;

pub use backoff::{Backoff, LONGEST_STEP, SHORTEST_STEP};
pub use class::{Class, classify};
pub use machine::{ErrorReport, Machine, Recovery, Settings, State};
pub use stats::Stats;

/// A callback: a number that the caller chooses, and that each event contains.
pub type Callback = u64;

/// An instant of `wasi:clocks/monotonic-clock`, in nanoseconds.
pub type Instant = u64;

/// A duration in nanoseconds.
pub type Duration = u64;
