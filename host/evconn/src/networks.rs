//! Sets of IP networks: peers that may connect, and proxies that are trusted.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a text is neither an address nor a network, or is ambiguous.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidNetwork(&'static str);

const NOT_A_NETWORK: InvalidNetwork = InvalidNetwork(
    "it takes an address or a network, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32",
);

/// The author may or may not mean IPv4 peers, too.
const STRADDLES_MAPPED: InvalidNetwork = InvalidNetwork(
    "it contains the IPv4-mapped addresses, ::ffff:0:0/96, and others: write networks of IPv4, such as \
     0.0.0.0/0, and networks of IPv6 that are apart from those, or ::/0, which is all of IPv6 and none of \
     IPv4",
);

/// The IPv6 network of the IPv4-mapped addresses, `::ffff:0.0.0.0/96`.
const MAPPED: Ipv6Addr = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
const MAPPED_PREFIX: u8 = 96;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks(Vec<IpNet>);

impl Networks {
    /// Adds a network. An address is a network of one; a network of IPv4-mapped addresses is the IPv4
    /// network for which it stands.
    pub fn add(&mut self, text: &str) -> Result<(), InvalidNetwork> {
        let network = match IpAddr::from_str(text) {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => canonical(text.parse().map_err(|_| NOT_A_NETWORK)?)?,
        };
        self.0.push(network);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the address is in one of the networks. The IPv4 peers of a dual-stack socket have
    /// addresses such as `::ffff:a.b.c.d`, which are in IPv4 networks only.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// Returns the network to compare canonical addresses with.
fn canonical(network: IpNet) -> Result<IpNet, InvalidNetwork> {
    match network {
        IpNet::V6(network) => canonical_v6(network),
        IpNet::V4(_) => Ok(network),
    }
}

fn canonical_v6(network: Ipv6Net) -> Result<IpNet, InvalidNetwork> {
    let mapped = network.addr().to_ipv4_mapped();
    match (mapped, network.prefix_len().checked_sub(MAPPED_PREFIX)) {
        (Some(address), Some(prefix)) => {
            let network = Ipv4Net::new(address, prefix);
            network.map(IpNet::V4).map_err(|_| NOT_A_NETWORK)
        }
        _ if network.prefix_len() > 0 && network.contains(&MAPPED) => Err(STRADDLES_MAPPED),
        _ => Ok(IpNet::V6(network)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, ip: &str) -> bool {
        let mut networks = Networks::default();
        networks.add(network).expect("a network");
        networks.contain(ip.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(!contains("192.0.2.1", "192.0.2.2"));
        assert!(contains("2001:db8::1", "2001:db8::1"));
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        assert!(contains("10.0.0.0/8", "10.255.255.255"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn a_peer_of_ipv4_may_be_mapped_into_ipv6() {
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(contains("::ffff:127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn a_network_of_mapped_addresses_is_one_of_ipv4() {
        for (network, inside, outside) in [
            ("::ffff:127.0.0.0/104", "127.1.2.3", "128.0.0.1"),
            ("::ffff:7f00:0/104", "::ffff:127.1.2.3", "::7f00:1"),
            ("::ffff:192.0.2.1/128", "192.0.2.1", "192.0.2.2"),
            // The bits after the prefix are ignored.
            ("::ffff:10.1.2.3/104", "10.255.0.1", "11.0.0.1"),
            ("::ffff:0:0/96", "203.0.113.7", "2001:db8::1"),
        ] {
            assert!(contains(network, inside), "{network} {inside}");
            assert!(!contains(network, outside), "{network} {outside}");
        }
    }

    #[test]
    fn all_of_ipv6_is_none_of_ipv4() {
        assert!(contains("::/0", "2001:db8::1"));
        assert!(!contains("::/0", "192.0.2.1"));
        assert!(!contains("::/0", "::ffff:192.0.2.1"));
    }

    #[test]
    fn a_network_that_contains_the_mapped_addresses_and_others_is_refused() {
        for text in [
            "::ffff:0:0/95",
            "::/80",
            "::/1",
            "::1/64",
            "::ffff:10.0.0.0/90",
        ] {
            let error = Networks::default().add(text).expect_err("not clear");
            assert_eq!(error, STRADDLES_MAPPED, "{text}");
        }
        // Networks without the mapped addresses are unambiguous.
        assert!(contains("8000::/1", "fe80::1"));
        assert!(contains("::/96", "::1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80"] {
            let result = Networks::default().add(text);
            assert_eq!(result, Err(NOT_A_NETWORK), "{text:?}");
        }
    }
}
