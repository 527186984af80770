//! The resource `tcp-socket`: its states, and the options of its operating system socket.

mod connect;
pub(crate) mod option;
mod ready;
mod tcp;

pub use tcp::TcpSocket;
