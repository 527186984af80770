//! Who is at the other end of a connection, for the log.

use crate::{Endpoint, PeerCredentials};
use std::fmt;
use std::net::SocketAddr;

/// Who a connection is from, for the log.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Address(SocketAddr),
    Unix(PeerCredentials),
}

impl Peer {
    /// Who is at the other end.
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
