//! Sets of IP networks: whose connections are taken, whose word is believed.

use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// This is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes an address or a network, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32")]
pub struct InvalidNetwork;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks(Vec<IpNet>);

impl Networks {
    /// An address is a network of one.
    pub fn add(&mut self, text: &str) -> Result<(), InvalidNetwork> {
        let network = match IpAddr::from_str(text) {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse().map_err(|_| InvalidNetwork)?,
        };
        self.0.push(network);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A dual-stack socket has peers of IPv4 at `::ffff:a.b.c.d`: they are in networks of IPv4.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
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
    fn what_is_no_network_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80"] {
            let result = Networks::default().add(text);
            assert_eq!(result, Err(InvalidNetwork), "{text:?}");
        }
    }
}
