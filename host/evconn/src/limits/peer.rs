//! What counts as one peer.

use std::net::IpAddr;

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
