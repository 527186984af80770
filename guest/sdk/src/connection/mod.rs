//! An established connection, without a buffer.
//!
//! Out of scope: waiting for it, which a [`Watch`](crate::Watch) does, and buffers, which a
//! [`BufferedConnection`](crate::BufferedConnection) has.

mod attempt;
mod direction;
mod established;
mod options;
mod watches;

pub(crate) use attempt::Attempt;
pub use direction::Direction;
pub use established::Connection;
pub(crate) use watches::Watcher;
