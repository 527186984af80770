//! The resource `tcp-socket`: its states, and the options of its operating system socket.

mod accept;
mod connect;
mod get_set;
mod open;
pub(crate) mod option;
mod ready;
mod tcp;
mod unconnected;

pub use open::listen;
pub use tcp::TcpSocket;
