//! One connection, without a buffer.
//!
//! Where it ends: waiting for it is the business of a [`Watch`](crate::Watch); buffers are
//! [`BufferedConnection`](crate::BufferedConnection)'s.

mod attempt;
mod established;
mod options;

pub(crate) use attempt::Attempt;
pub use established::Connection;
pub use options::Direction;
