//! The listener, with closures: libevent's `evconnlistener`.
//!
//! Where it ends: what it does when is the business of the component that is composed in, and set
//! out in `wit/SEMANTICS.md`. Here its events become calls.

mod builder;
mod handle;

pub use builder::Builder;
pub use handle::{AcceptError, Listener, Recovery, State};
