//! A connection with buffers and callbacks: libevent's `bufferevent`.
//!
//! Out of scope: a connection that was closed. The event base sends the rest of its output.

mod event;
mod half;
mod handle;
mod shared;
mod transfer;

pub use event::Event;
pub use handle::BufferedConnection;
