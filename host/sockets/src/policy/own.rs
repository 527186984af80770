//! What the sockets of one guest are bound to, as far as it decides what the others may do.
//!
//! A port that the system has chosen may be bound for the other half of a dual-stack pair. A guest may
//! connect to a loopback address on which it listens itself. And it may have a listener of which nobody
//! else has anything: programs make themselves a pair of connected sockets so (`socketpair` of Python,
//! which asyncio does not run without), as WASI has no other way.

use super::address::is_localhost;
use super::rule::Policy;
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sockets of one guest.
#[derive(Default)]
pub struct Own(Mutex<Addresses>);

#[derive(Default)]
struct Addresses {
    /// Where sockets are bound whose port the system has chosen.
    chosen: Vec<SocketAddr>,
    /// Where sockets listen.
    listening: Vec<SocketAddr>,
    /// Which of these are for connections of the guest's own alone.
    private: Vec<SocketAddr>,
    /// The connections to private listeners that were not yet accepted: the guest's end, and the listener.
    expected: HashSet<(SocketAddr, SocketAddr)>,
}

impl Own {
    /// Whether a socket is bound to this address, with a port that the system has chosen.
    pub fn is_chosen(&self, address: SocketAddr) -> bool {
        self.state().chosen.contains(&address)
    }

    /// Whether a socket has this port, chosen by the system, on the address of the other family that goes
    /// with this one.
    pub fn is_other_half(&self, address: SocketAddr) -> bool {
        let is_first = |first: &SocketAddr| {
            first.port() == address.port() && is_pair(first.ip(), address.ip())
        };
        self.state().chosen.iter().any(is_first)
    }

    /// The address as somebody could have asked for it: without a port that the system has chosen.
    pub fn as_asked(&self, mut address: SocketAddr) -> SocketAddr {
        let is_chosen = |chosen: &SocketAddr| chosen.port() == address.port();
        if self.state().chosen.iter().any(is_chosen) {
            address.set_port(0);
        }
        address
    }

    /// Remembers, for as long as what it returns, that the system has chosen the port of a socket.
    pub fn bound(self: &Arc<Self>, asked: SocketAddr, bound: SocketAddr) -> Option<Claim> {
        (asked.port() == 0).then(|| self.claim(bound, |state| &mut state.chosen))
    }

    /// Remembers, for as long as what it returns, that a socket listens.
    pub fn listens(self: &Arc<Self>, address: SocketAddr) -> Claim {
        self.claim(address, |state| &mut state.listening)
    }

    /// The same of a listener whose peers are sockets of the guest itself.
    pub fn listens_privately(self: &Arc<Self>, address: SocketAddr) -> Claim {
        self.claim(address, |state| &mut state.private)
    }

    /// Whether it is a loopback address on which the guest listens.
    pub fn listens_at(&self, remote: SocketAddr) -> bool {
        let ip = remote.ip();
        let reaches = |local: &SocketAddr| {
            let is_any = local.ip().is_unspecified() && local.is_ipv4() == remote.is_ipv4();
            local.port() == remote.port() && (local.ip() == ip || is_any)
        };
        ip.is_loopback() && self.state().listening.iter().any(reaches)
    }

    /// Remembers that one of the guest's sockets, at `local`, connects to `remote`.
    pub fn connects(&self, local: SocketAddr, remote: SocketAddr) {
        let mut state = self.state();
        if state.private.contains(&remote) {
            state.expected.insert((local, remote));
        }
    }

    /// Which peers a private listener at `local` takes: each of the guest's own connections once.
    /// `refused` is called for others.
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
        // Nothing in there panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

type List = fn(&mut Addresses) -> &mut Vec<SocketAddr>;

/// What is known of a socket, until it is dropped.
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

/// Whether the guest may listen here without a grant, as long as nobody else is let in.
pub fn may_be_private(address: SocketAddr) -> bool {
    is_localhost(address.ip())
}

/// The two addresses of a dual-stack listener, in either order.
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
