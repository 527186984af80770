//! Which peers may connect, and how many connections each may have.

use crate::networks::{InvalidNetwork, Networks};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which peers may connect, by their IP address. By default all may.
///
/// A peer that is in one of the denied networks may not, whatever else is said; where networks are
/// allowed, all others may not. Peers that come by a Unix socket always may: the mode of the socket's
/// file is about them.
///
/// A network of IPv4-mapped addresses, such as `::ffff:10.0.0.0/104`, is the one of IPv4 that it stands
/// for. `::/0` is all of IPv6 and none of IPv4; a smaller network that has the mapped addresses in it
/// (`::ffff:0:0/95`) is refused, since it would not be clear who is meant.
///
/// ```
/// use evconn::PeerFilter;
///
/// let filter = PeerFilter::all()
///     .allow("10.0.0.0/8")?
///     .deny("10.66.0.0/16")?;
/// assert!(filter.allows("10.1.2.3".parse()?));
/// assert!(!filter.allows("10.66.2.3".parse()?));
/// assert!(!filter.allows("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFilter {
    allowed: Networks,
    denied: Networks,
}

impl PeerFilter {
    /// All peers may connect.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only peers of this network may connect, and of those that were allowed before: an address
    /// (`192.0.2.1`), or a network (`10.0.0.0/8`, `2001:db8::/32`).
    ///
    /// # Errors
    /// [`InvalidNetwork`] if it is neither.
    pub fn allow(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        self.allowed.add(network)?;
        Ok(self)
    }

    /// Peers of this network may not connect.
    ///
    /// # Errors
    /// [`InvalidNetwork`] if it is no network.
    pub fn deny(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        self.denied.add(network)?;
        Ok(self)
    }

    /// Whether a peer with this address may connect. An IPv4-mapped address counts as one of IPv4.
    pub fn allows(&self, peer: IpAddr) -> bool {
        !self.denied.contain(peer) && (self.allowed.is_empty() || self.allowed.contain(peer))
    }

    /// Whether there is anybody who may not connect.
    pub(super) fn refuses_some(&self) -> bool {
        !self.allowed.is_empty() || !self.denied.is_empty()
    }
}

/// How many connections each peer has. One of IPv4 is an address; one of IPv6 is a network, since who has
/// one address there mostly has all that begin as it does.
#[derive(Clone)]
pub(super) struct PeerCounts {
    ipv6_prefix: u8,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of a peer's connections. It ends when this is dropped.
pub(super) struct PeerConnection {
    counts: PeerCounts,
    peer: IpAddr,
}

impl PeerCounts {
    /// Addresses of IPv6 whose first `ipv6_prefix` bits are the same are one peer.
    pub fn new(ipv6_prefix: u8) -> Self {
        Self {
            ipv6_prefix: ipv6_prefix.min(128),
            counts: Arc::default(),
        }
    }

    /// Count one more, unless there are `most` already.
    pub fn add(&self, peer: IpAddr, most: usize) -> Option<PeerConnection> {
        let peer = self.counted_as(peer);
        let mut counts = self.lock();
        let count = counts.entry(peer).or_default();
        if *count >= most {
            if *count == 0 {
                counts.remove(&peer);
            }
            return None;
        }
        *count += 1;
        drop(counts);
        Some(PeerConnection {
            counts: self.clone(),
            peer,
        })
    }

    /// What stands for a peer.
    fn counted_as(&self, peer: IpAddr) -> IpAddr {
        match peer.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.ipv6_prefix));
                IpAddr::V6((address.to_bits() & mask.unwrap_or(0)).into())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing in there panics halfway.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn denied_wins_over_allowed() {
        let filter = PeerFilter::all()
            .allow("10.0.0.0/8")
            .and_then(|filter| filter.deny("10.0.0.1"))
            .expect("networks");
        assert!(filter.allows(ip("10.0.0.2")));
        assert!(filter.allows(ip("::ffff:10.0.0.2")));
        assert!(!filter.allows(ip("10.0.0.1")));
        assert!(!filter.allows(ip("::ffff:10.0.0.1")));
        assert!(!filter.allows(ip("::1")));
    }

    #[test]
    fn without_allowed_networks_all_others_may() {
        let filter = PeerFilter::all().deny("2001:db8::/32").expect("a network");
        assert!(filter.allows(ip("127.0.0.1")));
        assert!(filter.allows(ip("::1")));
        assert!(!filter.allows(ip("2001:db8::1")));
        assert!(filter.refuses_some());
        assert!(!PeerFilter::all().refuses_some());
    }

    #[test]
    fn a_peer_has_as_many_as_it_may() {
        let counts = PeerCounts::new(64);
        let one = counts.add(ip("127.0.0.1"), 2);
        let two = counts.add(ip("::ffff:127.0.0.1"), 2);
        assert!(one.is_some() && two.is_some());
        assert!(counts.add(ip("127.0.0.1"), 2).is_none());
        assert!(counts.add(ip("127.0.0.2"), 2).is_some());
        drop(one);
        assert!(counts.add(ip("127.0.0.1"), 2).is_some());
        drop(two);
        assert!(counts.lock().is_empty());
        assert!(counts.add(ip("127.0.0.1"), 0).is_none());
        assert!(counts.lock().is_empty());
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_peer() {
        for (prefix, same, other) in [
            (64, "2001:db8::ffff:2", "2001:db8:0:1::1"),
            (48, "2001:db8:0:ffff::2", "2001:db8:1::1"),
            (128, "2001:db8::1", "2001:db8::2"),
            (0, "fe80::1", "192.0.2.1"),
        ] {
            let counts = PeerCounts::new(prefix);
            let first = counts.add(ip("2001:db8::1"), 1);
            assert!(first.is_some());
            assert!(counts.add(ip(same), 1).is_none(), "/{prefix} {same}");
            assert!(counts.add(ip(other), 1).is_some(), "/{prefix} {other}");
            drop(first);
            assert!(counts.add(ip(same), 1).is_some(), "/{prefix} {same}");
            assert!(counts.lock().is_empty());
        }
    }

    #[test]
    fn peers_of_ipv4_are_addresses_even_if_they_are_mapped() {
        let counts = PeerCounts::new(64);
        let _one = counts.add(ip("::ffff:192.0.2.1"), 1);
        assert!(counts.add(ip("192.0.2.1"), 1).is_none());
        assert!(counts.add(ip("::ffff:192.0.2.2"), 1).is_some());
    }
}
