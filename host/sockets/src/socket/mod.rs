//! The resource `tcp-socket`: its states, and the options of its operating system socket.

mod accept;
mod connect;
mod get_set;
mod open;
pub(crate) mod option;
mod ready;
mod streams;
mod tcp;
mod unconnected;

pub(crate) use accept::Acceptor;
pub use open::listen;
pub(crate) use streams::Held;
pub use tcp::TcpSocket;
