//! The listener, with closures: libevent's `evconnlistener`.
//!
//! Out of scope: what the listener does in each state. The component that is composed in decides that, by the
//! rules of `wit/SEMANTICS.md`; this module turns its events into calls.

mod builder;
mod handle;
mod shared;

pub use builder::Builder;
pub use handle::{Listener, State};
pub use shared::{AcceptError, Recovery};
