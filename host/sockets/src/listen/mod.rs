//! Listening sockets: their accept queue, and its drain when accepting ends.

mod any;
mod drain;
mod incoming;
mod listener;
mod listening;
mod told;
mod waits;

pub(crate) use any::{AnyListener, Arrived};
#[cfg(unix)]
pub use drain::refuse_connections;
pub use incoming::Incoming;
pub(crate) use incoming::{Port, VirtualListener, Waits};
pub(crate) use listener::Listener;
pub(crate) use listening::Listening;
pub(crate) use told::{OwnAddresses, OwnConnection, Told};
pub(crate) use waits::Awaited;
pub use waits::Awaits;
