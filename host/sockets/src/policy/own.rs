//! The addresses of one guest's sockets, as far as they decide what its other sockets may do.
//!
//! A port that the system has chosen may be bound again for the other half of a dual-stack pair. A guest may
//! connect to a loopback address on which it listens itself. A guest may also have a private listener, which
//! accepts only the guest's own connections: WASI has no other way to make a pair of connected sockets
//! (Python's `socketpair`, which asyncio requires).

use super::address::is_localhost;
use super::rule::Policy;
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses of one guest's sockets.
#[derive(Default)]
pub struct Own(Mutex<Addresses>);

#[derive(Default)]
struct Addresses {
    /// The bound addresses whose port the system has chosen.
    chosen: Vec<SocketAddr>,
    /// The addresses on which sockets listen.
    listening: Vec<SocketAddr>,
    /// Those of them whose listeners are private.
    private: Vec<SocketAddr>,
    /// The connections to private listeners that are not accepted yet: the guest's end, and the listener.
    expected: HashSet<(SocketAddr, SocketAddr)>,
}

impl Own {
    /// Returns whether a socket is bound to this address, with a port that the system has chosen.
    pub fn is_chosen(&self, address: SocketAddr) -> bool {
        self.state().chosen.contains(&address)
    }

    /// Returns whether a socket has this port, chosen by the system, on the counterpart of this address in
    /// the other family.
    pub fn is_other_half(&self, address: SocketAddr) -> bool {
        let is_first = |first: &SocketAddr| {
            first.port() == address.port() && is_pair(first.ip(), address.ip())
        };
        self.state().chosen.iter().any(is_first)
    }

    /// Returns the address as a guest can request it: with port 0 where the system has chosen the port.
    pub fn as_asked(&self, mut address: SocketAddr) -> SocketAddr {
        let is_chosen = |chosen: &SocketAddr| chosen.port() == address.port();
        if self.state().chosen.iter().any(is_chosen) {
            address.set_port(0);
        }
        address
    }

    /// Records, until the claim is dropped, that the system has chosen the port of a socket.
    pub fn bound(self: &Arc<Self>, asked: SocketAddr, bound: SocketAddr) -> Option<Claim> {
        (asked.port() == 0).then(|| self.claim(bound, |state| &mut state.chosen))
    }

    /// Records, until the claim is dropped, that a socket listens.
    pub fn listens(self: &Arc<Self>, address: SocketAddr) -> Claim {
        self.claim(address, |state| &mut state.listening)
    }

    /// Records, until the claim is dropped, that a listener is private.
    pub fn listens_privately(self: &Arc<Self>, address: SocketAddr) -> Claim {
        self.claim(address, |state| &mut state.private)
    }

    /// Returns whether this is a loopback address on which the guest listens.
    pub fn listens_at(&self, remote: SocketAddr) -> bool {
        let ip = remote.ip();
        let reaches = |local: &SocketAddr| {
            let is_any = local.ip().is_unspecified() && local.is_ipv4() == remote.is_ipv4();
            local.port() == remote.port() && (local.ip() == ip || is_any)
        };
        ip.is_loopback() && self.state().listening.iter().any(reaches)
    }

    /// Records that one of the guest's sockets, at `local`, connects to `remote`.
    pub fn connects(&self, local: SocketAddr, remote: SocketAddr) {
        let mut state = self.state();
        if state.private.contains(&remote) {
            state.expected.insert((local, remote));
        }
    }

    /// Returns the policy of a private listener at `local`: it accepts each of the guest's own connections
    /// once. `refused` is called for other peers.
    pub fn policy(
        self: &Arc<Self>,
        local: SocketAddr,
        refused: impl Fn() + Send + Sync + 'static,
    ) -> Policy {
        let own = Arc::clone(self);
        Policy::new(move |peer, _| {
            let is_own = own.state().expected.remove(&(peer, local));
            if !is_own {
                refused();
            }
            is_own
        })
    }

    fn claim(self: &Arc<Self>, address: SocketAddr, list: List) -> Claim {
        list(&mut self.state()).push(address);
        let own = Arc::clone(self);
        Claim { own, address, list }
    }

    fn state(&self) -> MutexGuard<'_, Addresses> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

type List = fn(&mut Addresses) -> &mut Vec<SocketAddr>;

/// Removes an address from its list when it is dropped.
#[derive(Debug)]
pub struct Claim {
    own: Arc<Own>,
    address: SocketAddr,
    list: List,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.own.state();
        let list = (self.list)(&mut state);
        if let Some(index) = list.iter().position(|known| *known == self.address) {
            list.swap_remove(index);
        }
        let Addresses {
            private, expected, ..
        } = &mut *state;
        expected.retain(|(_, listener)| private.contains(listener));
    }
}

/// Returns whether a guest may listen here without a grant, provided that the listener is private.
pub fn may_be_private(address: SocketAddr) -> bool {
    is_localhost(address.ip())
}

/// Returns whether these are the two addresses of a dual-stack listener, in either order.
fn is_pair(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() != other.is_ipv4()
        && (one.is_unspecified() && other.is_unspecified()
            || is_localhost(one) && is_localhost(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Use;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_guest_reaches_the_loopback_addresses_that_it_listens_on() {
        let own = Arc::new(Own::default());
        let listening = own.listens(address("0.0.0.0:80"));
        let other = own.listens(address("[::1]:81"));
        assert!(own.listens_at(address("127.0.0.1:80")) && own.listens_at(address("[::1]:81")));
        for elsewhere in ["127.0.0.1:81", "[::1]:80", "192.0.2.1:80"] {
            assert!(!own.listens_at(address(elsewhere)), "{elsewhere}");
        }
        drop((listening, other));
        assert!(!own.listens_at(address("127.0.0.1:80")));
    }

    #[test]
    fn a_private_listener_takes_each_connection_of_its_guest_once() {
        let own = Arc::new(Own::default());
        let at = address("127.0.0.1:40000");
        let (_listening, _private) = (own.listens(at), own.listens_privately(at));
        let policy = own.policy(at, || {});
        let peer = address("127.0.0.1:40001");
        assert!(!policy.allows(peer, Use::Accept));
        own.connects(peer, address("127.0.0.1:80"));
        assert!(!policy.allows(peer, Use::Accept));
        own.connects(peer, at);
        assert!(policy.allows(peer, Use::Accept));
        assert!(!policy.allows(peer, Use::Accept));
    }

    #[test]
    fn a_port_that_was_chosen_is_not_told() {
        let own = Arc::new(Own::default());
        let chosen = address("[::1]:40000");
        let _socket = own.bound(address("[::1]:0"), chosen);
        assert_eq!(own.as_asked(address("127.0.0.1:40000")).port(), 0);
        assert_eq!(own.as_asked(address("127.0.0.1:80")).port(), 80);
        assert!(
            own.bound(address("[::1]:80"), address("[::1]:80"))
                .is_none()
        );
    }
}
