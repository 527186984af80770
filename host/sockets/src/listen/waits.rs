//! What a guest of WASI 0.3 waits for. It may wait for several things at a time: for connections, until a time, and for
//! anything else that the host is to do for it.
//!
//! Where it ends: whether the guest runs, in between, is known to whoever runs it ([`Incoming::set_idle`]).
//!
//! [`Incoming::set_idle`]: super::Incoming::set_idle

use super::incoming::Incoming;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a guest waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The next connection of a listening socket.
    Connection,
    Time,
    Other,
}

/// How many things of each kind a guest waits for.
#[derive(Debug, Default)]
pub(super) struct AllAwaited {
    connections: AtomicUsize,
    times: AtomicUsize,
    others: AtomicUsize,
    /// Whether the guest has nothing to do but to wait.
    is_idle: AtomicBool,
}

impl AllAwaited {
    fn count(&self, what: Awaited) -> &AtomicUsize {
        match what {
            Awaited::Connection => &self.connections,
            Awaited::Time => &self.times,
            Awaited::Other => &self.others,
        }
    }

    pub fn has(&self, what: Awaited) -> bool {
        self.count(what).load(Ordering::Relaxed) > 0
    }

    pub fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Relaxed)
    }

    pub fn set_idle(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
    }
}

/// Something that a guest waits for, until this is dropped.
#[derive(Debug)]
#[must_use = "the guest waits until this is dropped"]
pub struct Awaits {
    incoming: Incoming,
    what: Awaited,
}

impl Awaits {
    pub(crate) fn new(incoming: &Incoming, what: Awaited) -> Self {
        let all = incoming.all_awaited();
        all.count(what).fetch_add(1, Ordering::Relaxed);
        Self {
            incoming: incoming.clone(),
            what,
        }
    }
}

impl Drop for Awaits {
    fn drop(&mut self) {
        let all = self.incoming.all_awaited();
        all.count(self.what).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_waits_for_anything_else_does_not_wait_for_a_connection_alone() {
        let incoming = Incoming::new();
        incoming.set_idle(true);
        assert!(!incoming.is_awaited(), "it does not accept");
        let accepts = incoming.awaits(Awaited::Connection);
        assert!(incoming.is_awaited() && incoming.is_done());
        let other = incoming.waits_for_host();
        assert!(!incoming.is_awaited());
        drop(other);
        incoming.set_idle(false);
        assert!(!incoming.is_awaited(), "it runs");
        incoming.set_idle(true);
        assert!(incoming.is_awaited());
        drop(accepts);
        assert!(!incoming.is_awaited());
    }

    #[test]
    fn a_time_that_has_come_once_is_not_waited_for_again() {
        let incoming = Incoming::new();
        incoming.set_idle(true);
        let _accepts = incoming.awaits(Awaited::Connection);
        let first = incoming.awaits(Awaited::Time);
        assert!(!incoming.is_awaited() && incoming.has_timeout());
        incoming.time_has_come();
        drop(first);
        assert!(incoming.is_awaited() && !incoming.has_timeout());
        let _next = incoming.awaits(Awaited::Time);
        assert!(incoming.is_awaited() && incoming.has_timeout());
        incoming.count_accepted();
        assert!(
            !incoming.is_awaited(),
            "the connection brings a time of its own"
        );
    }

    #[test]
    fn a_time_that_comes_while_something_else_is_awaited_is_not_the_last() {
        let incoming = Incoming::new();
        incoming.set_idle(true);
        let _accepts = incoming.awaits(Awaited::Connection);
        let other = incoming.waits_for_host();
        incoming.time_has_come();
        drop(other);
        let _next = incoming.awaits(Awaited::Time);
        assert!(!incoming.is_awaited());
    }
}
