//! Upgrade: the supervisor of another version of this program takes the place of this one, with its listening sockets.
//! [`Successor`] is the new one as the old one sees it, [`Predecessor`] the old one as the new one sees it.
//!
//! Where it ends: what becomes of the services is up to the [`fleet`](super::fleet).

mod predecessor;
mod successor;

pub use predecessor::Predecessor;
pub use successor::{Borrowed, Successor};
