//! TLS between a connection and its socket.
//!
//! Where it ends: the handshake, and with which certificate, is decided by whoever accepts.

mod session;
mod wire;

pub(crate) use session::TlsSession;
pub(crate) use wire::Wire;
