//! A connection with buffers and callbacks: libevent's `bufferevent`.
//!
//! Where it ends: what is left of one that was closed is the business of [`closing`](crate::closing).

mod event;
mod half;
mod handle;
mod transfer;

pub use event::Event;
pub use handle::BufferedConnection;
