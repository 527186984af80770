//! Which addresses can be meant at all, whatever is allowed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

pub(crate) fn family_of(address: SocketAddr) -> IpAddressFamily {
    match address {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    }
}

/// Check an address to be bound.
pub(crate) fn check_local(address: SocketAddr, family: IpAddressFamily) -> Result<(), ErrorCode> {
    let can_be_meant = family_of(address) == family && is_unicast(address.ip());
    can_be_meant.then_some(()).ok_or(ErrorCode::InvalidArgument)
}

/// Check an address to be connected to.
pub(crate) fn check_remote(address: SocketAddr, family: IpAddressFamily) -> Result<(), ErrorCode> {
    check_local(address, family)?;
    let can_be_meant = !address.ip().is_unspecified() && address.port() != 0;
    can_be_meant.then_some(()).ok_or(ErrorCode::InvalidArgument)
}

/// Neither multicast nor broadcast; and no IPv4 address in the notation of IPv6, which sockets that
/// are for IPv6 only cannot use (mapped) or nobody should use any more (compatible, RFC 4291).
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
