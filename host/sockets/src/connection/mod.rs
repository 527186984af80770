//! An open connection: what is received, what is sent, and how it ends.
//!
//! [`Endpoint`] is the connection to those who have it. What goes on when they have dropped it, such as
//! sending the rest, is done by its [`Link`](link::Link).

mod budget;
mod buffers;
mod closing;
mod decision;
mod direct;
mod endpoint;
mod link;
mod peer;
mod reader;
mod receive;
mod send;
mod sending;

pub(crate) use buffers::Received;
pub(crate) use direct::Unmoved;
pub use endpoint::Endpoint;
pub(crate) use endpoint::UNIX_ADDRESS;
pub use peer::Peer;
pub(crate) use reader::{Read, Reader};
pub(crate) use sending::shared;
