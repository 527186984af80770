//! Listening sockets: their accept queue, and its drain when accepting ends.

mod drain;
mod listener;
mod listening;

#[cfg(unix)]
pub use drain::refuse_connections;
pub(crate) use listener::Listener;
pub(crate) use listening::Listening;
