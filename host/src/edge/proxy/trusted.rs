//! Whose word is taken for where a connection comes from.

use crate::sockets::Plain;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The proxies whose headers are believed: networks, and Unix sockets if that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix_sockets: bool,
}

/// This is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes an address or a network, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32")]
pub struct InvalidNetwork;

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
        let network = match IpAddr::from_str(network) {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => network.parse().map_err(|_| InvalidNetwork)?,
        };
        self.networks.push(network);
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
            false => self.contains_ip(peer.ip()),
        }
    }

    /// A dual-stack socket has peers of IPv4 at `::ffff:a.b.c.d`: they are in networks of IPv4.
    fn contains_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(network: &str, ip: &str) -> bool {
        let trusted = TrustedProxies::none().network(network).expect("a network");
        trusted.contains_ip(ip.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert!(trusts("192.0.2.1", "192.0.2.1"));
        assert!(!trusts("192.0.2.1", "192.0.2.2"));
        assert!(trusts("2001:db8::1", "2001:db8::1"));
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        assert!(trusts("10.0.0.0/8", "10.255.255.255"));
        assert!(!trusts("10.0.0.0/8", "11.0.0.0"));
        assert!(trusts("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!trusts("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn a_peer_of_ipv4_may_be_mapped_into_ipv6() {
        assert!(trusts("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(trusts("::ffff:127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn nobody_is_trusted_unless_named() {
        let nobody = TrustedProxies::none();
        assert!(!nobody.contains_ip(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80"] {
            let result = TrustedProxies::none().network(text);
            assert_eq!(result, Err(InvalidNetwork), "{text:?}");
        }
    }
}
