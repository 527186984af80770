//! Which peers may connect, and how many connections each may have.

use super::connections::Slot;
use crate::limits::counted_as;
use crate::listener::Permit;
use crate::networks::{InvalidNetwork, Networks};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which peers may connect, by their IP addresses. By default all may.
///
/// A peer in a denied network may not connect, even if it is allowed, too. If networks are allowed, peers
/// outside of them may not connect. Peers of a Unix socket always may: access to it is controlled by the
/// mode of its file.
///
/// A network of IPv4-mapped addresses, such as `::ffff:10.0.0.0/104`, stands for the IPv4 network. `::/0`
/// is all of IPv6 and no IPv4. A smaller network that contains the mapped addresses (`::ffff:0:0/95`) is
/// an error, since it would be ambiguous.
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
    /// Returns a filter that allows all peers.
    pub fn all() -> Self {
        Self::default()
    }

    /// Allows peers of this network, and of those allowed before, and no others: an address (`192.0.2.1`)
    /// or a network (`10.0.0.0/8`, `2001:db8::/32`).
    ///
    /// # Errors
    /// [`InvalidNetwork`] if it is neither.
    pub fn allow(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        self.allowed.add(network)?;
        Ok(self)
    }

    /// Denies peers of this network.
    ///
    /// # Errors
    /// [`InvalidNetwork`] if it is neither an address nor a network.
    pub fn deny(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        self.denied.add(network)?;
        Ok(self)
    }

    /// Returns whether a peer with this address may connect. An IPv4-mapped address counts as IPv4.
    pub fn allows(&self, peer: IpAddr) -> bool {
        !self.denied.contain(peer) && (self.allowed.is_empty() || self.allowed.contain(peer))
    }

    /// Returns whether some peers may not connect.
    pub(super) fn refuses_some(&self) -> bool {
        !self.allowed.is_empty() || !self.denied.is_empty()
    }
}

/// The number of connections of each peer. An IPv4 peer is an address, an IPv6 peer a network, since a
/// host usually has all addresses of an IPv6 network.
#[derive(Clone)]
pub(super) struct PeerCounts {
    ipv6_prefix: u8,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a peer. It is counted until this is dropped.
pub(super) enum PeerConnection {
    Local {
        counts: PeerCounts,
        peer: IpAddr,
    },
    /// The permit of this slot is an entry of the quota, which counts for several processes.
    #[cfg(unix)]
    Shared(Arc<Slot>),
}

impl PeerCounts {
    /// Counts IPv6 addresses with the same first `ipv6_prefix` bits as one peer.
    pub fn new(ipv6_prefix: u8) -> Self {
        Self {
            ipv6_prefix,
            counts: Arc::default(),
        }
    }

    /// Counts another connection of this peer, unless it has `most` already.
    pub fn add(&self, peer: IpAddr, most: usize, slot: &Arc<Slot>) -> Option<PeerConnection> {
        let peer = counted_as(peer, self.ipv6_prefix);
        match slot.permit() {
            #[cfg(unix)]
            Some(Permit::Shared(permit)) => permit
                .count_peer(peer)
                .then(|| PeerConnection::Shared(Arc::clone(slot))),
            Some(Permit::Local(_)) | None => self.add_local(peer, most),
        }
    }

    fn add_local(&self, peer: IpAddr, most: usize) -> Option<PeerConnection> {
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
        Some(PeerConnection::Local {
            counts: self.clone(),
            peer,
        })
    }

    fn remove(&self, peer: IpAddr) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&peer);
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
        match self {
            Self::Local { counts, peer } => counts.remove(*peer),
            #[cfg(unix)]
            Self::Shared(slot) => {
                if let Some(Permit::Shared(permit)) = slot.permit() {
                    permit.forget_peer();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(counts: &PeerCounts, peer: IpAddr, most: usize) -> Option<PeerConnection> {
        counts.add_local(counted_as(peer, counts.ipv6_prefix), most)
    }

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
        let one = add(&counts, ip("127.0.0.1"), 2);
        let two = add(&counts, ip("::ffff:127.0.0.1"), 2);
        assert!(one.is_some() && two.is_some());
        assert!(add(&counts, ip("127.0.0.1"), 2).is_none());
        assert!(add(&counts, ip("127.0.0.2"), 2).is_some());
        drop(one);
        assert!(add(&counts, ip("127.0.0.1"), 2).is_some());
        drop(two);
        assert!(counts.lock().is_empty());
        assert!(add(&counts, ip("127.0.0.1"), 0).is_none());
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
            let first = add(&counts, ip("2001:db8::1"), 1);
            assert!(first.is_some());
            assert!(add(&counts, ip(same), 1).is_none(), "/{prefix} {same}");
            assert!(add(&counts, ip(other), 1).is_some(), "/{prefix} {other}");
            drop(first);
            assert!(add(&counts, ip(same), 1).is_some(), "/{prefix} {same}");
            assert!(counts.lock().is_empty());
        }
    }

    #[test]
    fn peers_of_ipv4_are_addresses_even_if_they_are_mapped() {
        let counts = PeerCounts::new(64);
        let _one = add(&counts, ip("::ffff:192.0.2.1"), 1);
        assert!(add(&counts, ip("192.0.2.1"), 1).is_none());
        assert!(add(&counts, ip("::ffff:192.0.2.2"), 1).is_some());
    }
}
