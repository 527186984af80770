//! UDP: which sockets a guest may have, and with whom it may exchange datagrams.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use super::denial::{Denial, OnDenied};
use super::destinations::{Destinations, Protocol, Verdict};
use super::place::Place;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a guest may do with datagrams. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct UdpRules {
    /// Whom it may send to, and receive from.
    pub destinations: Destinations,
    /// Where it may bind sockets, to receive from anyone, and to answer.
    pub places: Arc<[Place]>,
    /// Whether it may do anything.
    pub everything: bool,
}

impl UdpRules {
    /// Whether the guest may have UDP sockets at all.
    pub fn allows_sockets(&self) -> bool {
        self.everything || !self.places.is_empty() || self.destinations.has(Protocol::Udp)
    }
}

/// One guest that has UDP sockets.
#[derive(Debug)]
pub struct UdpGuest {
    rules: UdpRules,
    on_denied: Arc<dyn OnDenied>,
    /// Who has sent to it and is no destination: it may answer.
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

    /// Whether it may bind a socket to this address.
    pub fn allows_bind(&self, address: SocketAddr) -> bool {
        self.rules.everything || self.may_bind(address) || self.deny(Denial::UdpBind(address))
    }

    /// Whether it may send to this address.
    pub async fn allows_send(&self, address: SocketAddr) -> bool {
        self.rules.everything
            || self.peers().contain(address)
            || self.is_destination(address).await
            || self.deny(Denial::UdpSend(address))
    }

    /// Whether it may receive from this address.
    pub async fn allows_receive(&self, address: SocketAddr) -> bool {
        self.rules.everything || self.is_destination(address).await || self.may_answer(address)
    }

    /// Port 0 is any that is free: whoever sends has to have one.
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

    /// Whether it may receive from anyone: if so, it may answer who has just sent to it.
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
        // Nothing in there panics halfway.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most peers that are remembered are twice as many: whoever sends may forge any address.
const PEERS: usize = 4096;

/// The latest who have sent.
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
