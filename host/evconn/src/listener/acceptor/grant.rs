//! What an acceptor may do with sockets: listen on its own addresses, and nothing else.

use crate::listener::rules::counterpart;
use crate::sockets::{Policy, Use};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

/// Returns the policy for listening on `address`, within `policy`.
///
/// A dual-stack listener needs a second socket, on the corresponding IPv4 address.
pub(super) fn listening(address: SocketAddr, dual_stack: bool, policy: Policy) -> Policy {
    let second = dual_stack.then(|| counterpart(address)).flatten();
    let grant = Grant::new(address, second);
    Policy::new(move |used, used_for| grant.allows(used, used_for) && policy.allows(used, used_for))
}

/// Returns the policy for accepting from sockets that listen already, within `policy`.
pub(super) fn accepting(policy: Policy) -> Policy {
    Policy::new(move |used, used_for| used_for == Use::Accept && policy.allows(used, used_for))
}

/// The addresses of a listener.
struct Grant {
    first: SocketAddr,
    second: Option<SocketAddr>,
    /// The port on which the first socket listens; 0 until it does.
    port: AtomicU16,
}

impl Grant {
    fn new(first: SocketAddr, second: Option<SocketAddr>) -> Self {
        let port = AtomicU16::new(first.port());
        Self {
            first,
            second,
            port,
        }
    }

    fn allows(&self, used: SocketAddr, used_for: Use) -> bool {
        match used_for {
            // The requested address: for the second socket, with the port of the first.
            Use::Bind => used == self.first || self.is_second(used),
            // The actual address.
            Use::Listen => self.listens_first(used) || self.is_second(used),
            // The peer's address. Which peers to refuse is not decided here.
            Use::Accept => true,
            Use::Connect => false,
        }
    }

    /// Returns whether the first socket may listen here. If it was bound to port 0, the system has chosen
    /// the port.
    fn listens_first(&self, used: SocketAddr) -> bool {
        let is_port = [0, used.port()].contains(&self.first.port());
        let is_first = used.ip() == self.first.ip() && is_port;
        if is_first {
            self.port.store(used.port(), Ordering::Relaxed);
        }
        is_first
    }

    fn is_second(&self, used: SocketAddr) -> bool {
        let port = self.port.load(Ordering::Relaxed);
        let is_ip = |second: SocketAddr| second.ip() == used.ip();
        self.second.is_some_and(is_ip) && used.port() == port && port != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a literal address")
    }

    /// Returns whether `used` is granted to a listener on `first`, with its IPv4 counterpart if it has
    /// one.
    fn granted(first: &str, used: &str, used_for: Use) -> bool {
        let first = address(first);
        Grant::new(first, counterpart(first)).allows(address(used), used_for)
    }

    #[test]
    fn only_the_granted_address_can_be_bound() {
        let bind = |used| granted("127.0.0.1:80", used, Use::Bind);
        assert!(bind("127.0.0.1:80"));
        assert!(!bind("127.0.0.1:81"));
        assert!(!bind("127.0.0.1:0"));
        assert!(!bind("0.0.0.0:80"));
        assert!(!bind("[::1]:80"));
    }

    #[test]
    fn port_zero_listens_on_whatever_it_became() {
        let listen = |used| granted("127.0.0.1:0", used, Use::Listen);
        assert!(listen("127.0.0.1:40000"));
        assert!(!listen("127.0.0.2:40000"));
        assert!(!granted("127.0.0.1:0", "127.0.0.1:40000", Use::Bind));
    }

    #[test]
    fn dual_stack_may_bind_the_same_port_of_ipv4() {
        assert!(granted("[::]:80", "0.0.0.0:80", Use::Bind));
        assert!(!granted("[::]:80", "0.0.0.0:81", Use::Bind));
        assert!(!granted("[::]:80", "127.0.0.1:80", Use::Bind));
        assert!(!granted("[::2]:0", "0.0.0.0:40000", Use::Bind));
        let first = address("[::]:80");
        assert!(!Grant::new(first, None).allows(address("0.0.0.0:80"), Use::Bind));
    }

    #[test]
    fn the_second_half_has_the_port_that_was_chosen_for_the_first() {
        let grant = Grant::new(address("[::1]:0"), counterpart(address("[::1]:0")));
        let allows = |used, used_for| grant.allows(address(used), used_for);
        for early in ["127.0.0.1:0", "127.0.0.1:40000"] {
            assert!(!allows(early, Use::Bind));
        }
        assert!(allows("[::1]:0", Use::Bind) && allows("[::1]:40000", Use::Listen));
        assert!(allows("127.0.0.1:40000", Use::Bind) && allows("127.0.0.1:40000", Use::Listen));
        assert!(!allows("127.0.0.1:40001", Use::Bind) && !allows("127.0.0.1:0", Use::Bind));
        // That port was in use for the second socket: another one is tried.
        assert!(allows("[::1]:0", Use::Bind) && allows("[::1]:40001", Use::Listen));
        assert!(!allows("127.0.0.1:40000", Use::Bind) && allows("127.0.0.1:40001", Use::Bind));
    }

    #[test]
    fn connecting_is_never_granted() {
        assert!(!granted("127.0.0.1:80", "127.0.0.1:80", Use::Connect));
    }

    #[test]
    fn sockets_that_listen_are_good_for_accepting_only() {
        let policy = accepting(Policy::allow_all());
        assert!(policy.allows(address("192.0.2.1:80"), Use::Accept));
        assert!(!policy.allows(address("127.0.0.1:0"), Use::Bind));
        assert!(!policy.allows(address("192.0.2.1:80"), Use::Connect));
        assert_eq!((policy.refusals().bind, policy.refusals().connect), (1, 1));
    }
}
