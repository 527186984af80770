//! Whose word is taken for where a connection comes from.

use crate::networks::{InvalidNetwork, Networks};
use crate::sockets::Plain;
use std::net::SocketAddr;

/// The proxies whose headers are believed: networks, and Unix sockets if that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Networks,
    unix_sockets: bool,
}

impl TrustedProxies {
    /// Nobody: to be extended.
    pub fn none() -> Self {
        Self::default()
    }

    /// These as well: an address (`192.0.2.1`), or a network (`10.0.0.0/8`, `2001:db8::/32`).
    ///
    /// # Errors
    /// [`InvalidNetwork`] if it is neither.
    pub fn network(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        self.networks.add(network)?;
        Ok(self)
    }

    /// Whether connections to a Unix socket are trusted. Whom its permissions let in is then
    /// believed. Default: no.
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
