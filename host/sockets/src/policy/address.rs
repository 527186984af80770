//! Checks that an address is valid for its use, whatever the rules allow.

use crate::error::ErrorCode;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The family of an address or of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpAddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl IpAddressFamily {
    /// Returns the family of this address.
    pub fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::Ipv4,
            SocketAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Returns any address of the family, and any port.
    pub(crate) fn unspecified(self) -> SocketAddr {
        let ip = match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        SocketAddr::new(ip, 0)
    }

    /// Returns this port of the family's loopback address.
    pub(crate) fn loopback(self, port: u16) -> SocketAddr {
        let ip = match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        SocketAddr::new(ip, port)
    }
}

/// Checks the address of a bind.
pub fn check_local(address: SocketAddr, family: IpAddressFamily) -> Result<(), ErrorCode> {
    let can_be_meant = IpAddressFamily::of(address) == family && is_unicast(address.ip());
    can_be_meant.then_some(()).ok_or(ErrorCode::InvalidArgument)
}

/// Checks the address of a connect.
pub fn check_remote(address: SocketAddr, family: IpAddressFamily) -> Result<(), ErrorCode> {
    check_local(address, family)?;
    let can_be_meant = !address.ip().is_unspecified() && address.port() != 0;
    can_be_meant.then_some(()).ok_or(ErrorCode::InvalidArgument)
}

/// Returns whether this is one of the two addresses that `localhost` stands for.
pub fn is_localhost(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// Returns whether this is a unicast address. IPv4 addresses in IPv6 notation are not: sockets for IPv6 only
/// cannot use the mapped ones, and the compatible ones are deprecated (RFC 4291).
fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => {
            let stands_for_ipv4 = ip.to_ipv4_mapped().is_some() || is_ipv4_compatible(ip);
            !ip.is_multicast() && !stands_for_ipv4
        }
    }
}

fn is_ipv4_compatible(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0, 0, 0, 0, 0, 0, _, _])
        && ip != Ipv6Addr::UNSPECIFIED
        && ip != Ipv6Addr::LOCALHOST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, family: IpAddressFamily) -> bool {
        check_local(text.parse().expect("a literal address"), family).is_ok()
    }

    #[test]
    fn the_family_is_the_sockets() {
        assert!(check("127.0.0.1:0", IpAddressFamily::Ipv4));
        assert!(check("[::1]:0", IpAddressFamily::Ipv6));
        assert!(!check("127.0.0.1:0", IpAddressFamily::Ipv6));
        assert!(!check("[::1]:0", IpAddressFamily::Ipv4));
    }

    #[test]
    fn only_unicast_addresses_can_be_bound() {
        for text in ["224.0.0.1:80", "255.255.255.255:80"] {
            assert!(!check(text, IpAddressFamily::Ipv4), "{text}");
        }
        for text in ["[ff02::1]:80", "[::ffff:127.0.0.1]:80", "[::127.0.0.1]:80"] {
            assert!(!check(text, IpAddressFamily::Ipv6), "{text}");
        }
    }

    #[test]
    fn one_connects_to_an_address_and_a_port() {
        let check = |text: &str| {
            let address = text.parse().expect("a literal address");
            check_remote(address, IpAddressFamily::Ipv4).is_ok()
        };
        assert!(check("192.0.2.1:80"));
        assert!(!check("192.0.2.1:0"));
        assert!(!check("0.0.0.0:80"));
    }
}
