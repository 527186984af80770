//! The proxies whose headers are trusted.

use crate::networks::{InvalidNetwork, Networks};
use crate::sockets::Plain;
use std::net::SocketAddr;

/// The proxies whose headers are trusted: networks and, optionally, Unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Networks,
    unix_sockets: bool,
}

impl TrustedProxies {
    /// Returns an empty set, to be extended.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an address (`192.0.2.1`) or a network (`10.0.0.0/8`, `2001:db8::/32`).
    ///
    /// # Errors
    /// [`InvalidNetwork`] if it is neither.
    pub fn network(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        self.networks.add(network)?;
        Ok(self)
    }

    /// Sets whether connections to a Unix socket are trusted, and so every process that the socket's
    /// permissions allow to connect. Defaults to false.
    pub fn unix_sockets(mut self, trusted: bool) -> Self {
        self.unix_sockets = trusted;
        self
    }

    pub(super) fn contains(&self, plain: &Plain, peer: SocketAddr) -> bool {
        match plain.is_unix() {
            true => self.unix_sockets,
            false => self.networks.contain(peer.ip()),
        }
    }
}
