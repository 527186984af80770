//! The peers that are admitted.

use std::net::IpAddr;
use wasi::cli::environment::get_environment;
use wasi::sockets::network::IpSocketAddress;

const VARIABLE: &str = "EVCONN_FILTER";

/// None: all peers.
pub struct Peers(Option<Vec<IpAddr>>);

impl Peers {
    /// Reads the environment variable. A word that is not an address admits no peer.
    pub fn from_environment() -> Self {
        let mut variables = get_environment().into_iter();
        let found = variables.find(|(name, _)| name == VARIABLE);
        let parse = |text: &str| text.trim().parse().ok();
        Self(found.map(|(_, value)| value.split(',').filter_map(parse).collect()))
    }

    pub fn include(&self, address: &IpSocketAddress) -> bool {
        let ip: IpAddr = match *address {
            IpSocketAddress::Ipv4(ref address) => {
                let (a, b, c, d) = address.address;
                [a, b, c, d].into()
            }
            IpSocketAddress::Ipv6(ref address) => {
                let (a, b, c, d, e, f, g, h) = address.address;
                [a, b, c, d, e, f, g, h].into()
            }
        };
        self.0.as_ref().is_none_or(|peers| peers.contains(&ip))
    }
}
