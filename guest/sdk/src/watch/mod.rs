//! Waiting for a connection without a buffer: libevent's `event` for a socket.
//!
//! Out of scope: reading and writing, which the closure does, and buffers, which a
//! [`BufferedConnection`](crate::BufferedConnection) has.

mod handle;
mod shared;
mod subscription;

pub use handle::Watch;
pub use shared::Ready;
