//! Waiting for a connection without a buffer: libevent's `event` for a socket.
//!
//! Where it ends: it says when to read and to write; who does it is the closure. Buffers are
//! [`BufferedConnection`](crate::BufferedConnection)'s business.

mod handle;
mod shared;
mod subscription;

pub(crate) use handle::Watches;
pub use handle::{Ready, Watch};
