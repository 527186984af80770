//! The addresses on which a guest may listen, or bind a UDP socket.

use super::address::is_localhost;
use super::own::Own;
use std::net::{IpAddr, SocketAddr};

/// A port on one or more addresses of this machine. Port 0 stands for a port that the system chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The addresses.
    pub host: PlaceHost,
    /// The port, or 0.
    pub port: u16,
}

/// The addresses of a [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceHost {
    /// All addresses, the unspecified ones included.
    Any,
    /// `127.0.0.1` and `::1`.
    Localhost,
    /// One address.
    Ip {
        /// The address.
        ip: IpAddr,
        /// The index of the interface, for addresses that exist on several interfaces; 0 stands for any.
        scope: u32,
    },
}

impl Place {
    /// Returns whether a socket may be bound to this address, as the guest requests it. Where the system
    /// chooses the port, the guest requests port 0; for the other half of a dual-stack pair, it requests the
    /// port of the first half.
    pub fn allows_bind(&self, asked: SocketAddr, own: Option<&Own>) -> bool {
        let is_port = asked.port() == self.port;
        is_port && self.has(asked) || self.is_chosen(asked, own, Own::is_other_half)
    }

    /// Returns whether a socket that is bound to this address may listen.
    pub fn allows_listen(&self, bound: SocketAddr, own: Option<&Own>) -> bool {
        let is_port = bound.port() == self.port;
        is_port && self.has(bound)
            || self.is_chosen(bound, own, Own::is_chosen)
            || self.is_chosen(bound, own, Own::is_other_half)
    }

    /// Returns whether the system chooses the port here, and has chosen this one according to `says`.
    fn is_chosen(
        &self,
        address: SocketAddr,
        own: Option<&Own>,
        says: impl Fn(&Own, SocketAddr) -> bool,
    ) -> bool {
        self.port == 0 && self.has(address) && own.is_some_and(|own| says(own, address))
    }

    fn has(&self, address: SocketAddr) -> bool {
        let asked = address.ip().to_canonical();
        match self.host {
            PlaceHost::Any => true,
            PlaceHost::Localhost => is_localhost(asked),
            PlaceHost::Ip { ip, scope } => {
                ip.to_canonical() == asked && (scope == 0 || scope == scope_of(address))
            }
        }
    }
}

/// Returns the index of the interface that an address names, or 0.
pub fn scope_of(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Place = Place {
        host: PlaceHost::Any,
        port: 80,
    };

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn at(text: &str) -> Place {
        let address = address(text);
        let (ip, port) = (address.ip(), address.port());
        let scope = scope_of(address);
        let host = PlaceHost::Ip { ip, scope };
        Place { host, port }
    }

    fn allows(place: Place, asked: &str) -> bool {
        let asked = address(asked);
        let (bind, listen) = (
            place.allows_bind(asked, None),
            place.allows_listen(asked, None),
        );
        assert_eq!(bind, listen, "{asked}");
        bind
    }

    #[test]
    fn an_address_is_itself_alone() {
        let place = at("127.0.0.1:80");
        assert!(allows(place, "127.0.0.1:80"));
        for other in ["127.0.0.1:81", "127.0.0.1:0", "0.0.0.0:80", "[::1]:80"] {
            assert!(!allows(place, other), "{other}");
        }
    }

    #[test]
    fn any_interface_is_each_of_them() {
        for address in ["0.0.0.0:80", "[::]:80", "127.0.0.1:80", "[::1]:80"] {
            assert!(allows(ANY, address), "{address}");
        }
        assert!(!allows(ANY, "0.0.0.0:81"));
    }

    #[test]
    fn localhost_is_two_addresses() {
        let host = PlaceHost::Localhost;
        let place = Place { host, port: 80 };
        assert!(allows(place, "127.0.0.1:80") && allows(place, "[::1]:80"));
        for other in ["127.0.0.2:80", "0.0.0.0:80", "[::]:80", "127.0.0.1:81"] {
            assert!(!allows(place, other), "{other}");
        }
    }

    #[test]
    fn the_interface_of_a_link_local_address_counts() {
        let place = at("[fe80::1%2]:80");
        assert!(allows(place, "[fe80::1%2]:80"));
        assert!(!allows(place, "[fe80::1%3]:80") && !allows(place, "[fe80::1]:80"));
        assert!(allows(at("[fe80::1]:80"), "[fe80::1%3]:80"));
    }

    #[test]
    fn the_system_chooses_the_port_and_nobody_else() {
        let place = at("127.0.0.1:0");
        let own = Own::default();
        let (asked, chosen) = (address("127.0.0.1:0"), address("127.0.0.1:40000"));
        assert!(place.allows_bind(asked, Some(&own)));
        assert!(!place.allows_bind(chosen, Some(&own)));
        assert!(!place.allows_listen(chosen, Some(&own)));
        let own = std::sync::Arc::new(own);
        let socket = own.bound(asked, chosen);
        assert!(place.allows_listen(chosen, Some(&own)));
        assert!(!place.allows_bind(chosen, Some(&own)));
        assert!(!at("127.0.0.2:0").allows_listen(address("127.0.0.2:40000"), Some(&own)));
        drop(socket);
        assert!(!place.allows_listen(chosen, Some(&own)));
    }

    #[test]
    fn the_other_half_of_a_pair_has_the_port_of_the_first() {
        for (first, chosen, second, granted) in [
            ("[::1]:0", "[::1]:40000", "127.0.0.1:40000", "127.0.0.1:0"),
            ("127.0.0.1:0", "127.0.0.1:40000", "[::1]:40000", "[::1]:0"),
            ("[::]:0", "[::]:40000", "0.0.0.0:40000", "0.0.0.0:0"),
        ] {
            let own = std::sync::Arc::new(Own::default());
            let (place, second) = (at(granted), address(second));
            assert!(!place.allows_bind(second, Some(&own)), "{granted}");
            let _first = own.bound(address(first), address(chosen));
            assert!(place.allows_bind(second, Some(&own)), "{granted}");
            assert!(place.allows_listen(second, Some(&own)), "{granted}");
            let mut other = second;
            other.set_port(40_001);
            assert!(!place.allows_bind(other, Some(&own)), "{granted}");
        }
    }
}
