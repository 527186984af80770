//! TLS between a connection and its socket.
//!
//! Where it ends: the handshake, and with which certificate, is decided by whoever accepts.

mod info;
mod session;
mod wire;

pub use info::TlsInfo;
pub(super) use session::SEND_BUFFER;
pub use session::TlsSession;
pub use wire::Wire;
