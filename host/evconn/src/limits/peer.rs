//! What counts as one peer.

use std::net::IpAddr;

/// Returns an address as a number: IPv4 as in an IPv4-mapped address.
pub(crate) fn number_of(peer: IpAddr) -> u128 {
    match peer {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Returns the address that stands for the peer: that of its network, for IPv6.
pub(crate) fn counted_as(peer: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(ipv6_prefix.into()));
            IpAddr::V6((address.to_bits() & mask.unwrap_or(0)).into())
        }
    }
}
