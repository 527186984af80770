//! Who is at the other end of a connection, for the log.

use super::endpoint::Endpoint;
use crate::sys::PeerCredentials;
use std::fmt;
use std::net::SocketAddr;

/// Who a connection is from, for the log.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// A peer that is known by its address.
    Address(SocketAddr),
    /// The peer of a Unix socket.
    Unix(PeerCredentials),
}

impl Peer {
    /// Returns who is at the other end.
    pub fn of(endpoint: &Endpoint) -> Self {
        match endpoint.peer_credentials() {
            // Unless a proxy has said who it really is.
            Ok(Some(credentials)) if !endpoint.has_peer_address() => Self::Unix(credentials),
            Ok(_) | Err(_) => Self::Address(endpoint.peer_address()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Unix(credentials) => write!(f, "unix ({credentials})"),
        }
    }
}
