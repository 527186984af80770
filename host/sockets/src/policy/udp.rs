//! UDP: which sockets a guest may have, and with which peers it may exchange datagrams.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use super::account::Charge;
use super::denial::{Denial, OnDenied};
use super::destinations::{Destinations, Protocol, Verdict};
use super::place::Place;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a guest may do with UDP. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct UdpRules {
    /// The peers to which it may send, and from which it may receive.
    pub destinations: Destinations,
    /// The addresses to which it may bind sockets. With one, it may receive from any peer, and answer.
    pub places: Arc<[Place]>,
    /// Whether everything is allowed.
    pub everything: bool,
}

impl UdpRules {
    /// Returns whether the guest may have UDP sockets.
    pub fn allows_sockets(&self) -> bool {
        self.everything || !self.places.is_empty() || self.destinations.has(Protocol::Udp)
    }
}

/// The rules of a guest that has UDP sockets, and its peers.
#[derive(Debug)]
pub struct UdpGuest {
    rules: UdpRules,
    on_denied: Arc<dyn OnDenied>,
    /// Peers that have sent to the guest and are not destinations: the guest may answer.
    peers: Mutex<Peers>,
}

impl UdpGuest {
    pub fn new(rules: UdpRules, on_denied: Arc<dyn OnDenied>) -> Self {
        Self {
            rules,
            on_denied,
            peers: Mutex::default(),
        }
    }

    /// Returns whether the guest may bind a socket to this address.
    pub fn allows_bind(&self, address: SocketAddr) -> bool {
        self.rules.everything || self.may_bind(address) || self.deny(Denial::UdpBind(address))
    }

    /// Returns whether the guest may send to this address.
    pub async fn allows_send(&self, address: SocketAddr) -> bool {
        self.rules.everything
            || self.peers().contain(address)
            || self.is_destination(address).await
            || self.deny(Denial::UdpSend(address))
    }

    /// Returns whether the guest may receive from this address.
    pub async fn allows_receive(&self, address: SocketAddr) -> bool {
        self.rules.everything || self.is_destination(address).await || self.may_answer(address)
    }

    /// Returns whether the guest may bind a socket to this address. Port 0 is always allowed: a sender
    /// requires a port.
    fn may_bind(&self, address: SocketAddr) -> bool {
        let allows = |place: &Place| place.allows_bind(address, None);
        address.port() == 0 || self.rules.places.iter().any(allows)
    }

    async fn is_destination(&self, address: SocketAddr) -> bool {
        match self.rules.destinations.check(Protocol::Udp, address) {
            Verdict::Allowed => true,
            Verdict::Refused => false,
            Verdict::Unknown(check) => {
                check.done().await;
                check.outcome() == Some(true)
            }
        }
    }

    /// Returns whether the guest may receive from any peer. If so, it may answer this one.
    fn may_answer(&self, peer: SocketAddr) -> bool {
        let may = !self.rules.places.is_empty();
        if may {
            self.peers().add(peer);
        }
        may
    }

    fn deny(&self, denial: Denial<'_>) -> bool {
        self.on_denied.denied(denial);
        false
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        // No code panics while it holds this lock.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is charged for the sockets in a guest's resource table, whose places there are the keys: the sockets
/// are not this crate's own.
#[derive(Clone, Debug, Default)]
pub struct DatagramCharges(Arc<Mutex<HashMap<u32, [Charge; 2]>>>);

impl DatagramCharges {
    pub fn insert(&self, index: u32, charges: [Charge; 2]) {
        self.charges().insert(index, charges);
    }

    pub fn remove(&self, index: u32) {
        self.charges().remove(&index);
    }

    fn charges(&self) -> MutexGuard<'_, HashMap<u32, [Charge; 2]>> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maximum size of each of the two sets of remembered peers. They are limited because senders can forge any
/// address.
const PEERS: usize = 4096;

/// The peers that have sent most recently.
#[derive(Debug, Default)]
struct Peers {
    latest: HashSet<SocketAddr>,
    earlier: HashSet<SocketAddr>,
}

impl Peers {
    fn add(&mut self, peer: SocketAddr) {
        if self.latest.len() >= PEERS {
            self.earlier = std::mem::take(&mut self.latest);
        }
        self.latest.insert(peer);
    }

    fn contain(&self, peer: SocketAddr) -> bool {
        self.latest.contains(&peer) || self.earlier.contains(&peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_peers_are_remembered() {
        let peer = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut peers = Peers::default();
        for port in 0..3 * PEERS as u16 {
            peers.add(peer(port));
        }
        assert!(!peers.contain(peer(0)));
        assert!(peers.contain(peer(3 * PEERS as u16 - 1)) && peers.contain(peer(PEERS as u16)));
        assert!(peers.latest.len() <= PEERS && peers.earlier.len() <= PEERS);
    }
}
