//! The listener's state machine: its states, the classes of accept errors, the backoff, and the options.
//!
//! The crate makes no host call and takes the time as an argument, so that the rules of `wit/SEMANTICS.md` can be
//! tested natively. Out of scope: sockets and bindings, which the components `listener.wasm` and `async-listener.wasm`
//! have. Their error codes are those of WASI 0.2 and of WASI 0.3: [`AcceptError`] is what they have in common.

#![deny(missing_docs)]

mod backoff;
mod class;
mod machine;
mod options;
mod stats;

pub use backoff::{Backoff, LONGEST_STEP, SHORTEST_STEP};
pub use class::{AcceptError, Class};
pub use machine::{ErrorReport, Machine, Recovery, Settings, State};
pub use options::{Deferral, Options};
pub use stats::Stats;

/// A callback: a number that the caller chooses, and that each event contains.
pub type Callback = u64;

/// An instant of `wasi:clocks/monotonic-clock`, in nanoseconds.
pub type Instant = u64;

/// A duration in nanoseconds.
pub type Duration = u64;
