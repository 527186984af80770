//! Permits of a server, of which each connection has one: from a semaphore, or from the quota that several
//! processes share.

use crate::limits::Limits;
#[cfg(unix)]
use crate::quota::{self, Member};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where the permits of a server come from. Clones are the same source.
#[derive(Clone)]
pub(crate) enum PermitSource {
    /// This process alone.
    Local(LocalPermits),
    /// All processes together.
    #[cfg(unix)]
    Shared(Member),
}

/// The permits of a process alone: for connections that have an instance, and for those that have none any more. Clones
/// are the same.
#[derive(Clone)]
pub(crate) struct LocalPermits {
    semaphore: Arc<Semaphore>,
    /// How many connections without an instance there may be beside those.
    beyond: Arc<AtomicUsize>,
}

impl LocalPermits {
    /// Returns so many permits, and so many more for connections that have no instance any more.
    pub fn new(count: usize, beyond: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(count)),
            beyond: Arc::new(AtomicUsize::new(beyond)),
        }
    }

    /// Returns those for connections that have an instance.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    pub fn permit(&self, permit: OwnedSemaphorePermit) -> Permit {
        Permit::Local(LocalPermit {
            permit: Some(permit),
            source: self.clone(),
            is_beyond: AtomicBool::new(false),
        })
    }
}

/// A permit of a process alone.
pub(crate) struct LocalPermit {
    permit: Option<OwnedSemaphorePermit>,
    source: LocalPermits,
    /// Whether it is for a connection without an instance.
    is_beyond: AtomicBool,
}

impl LocalPermit {
    fn leave_instance(&self) {
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        let one_less = |beyond: usize| beyond.checked_sub(1);
        let has_space = self.source.beyond.fetch_update(set, get, one_less).is_ok();
        if has_space && !self.is_beyond.swap(true, Ordering::AcqRel) {
            self.source.semaphore.add_permits(1);
        }
    }
}

impl Drop for LocalPermit {
    fn drop(&mut self) {
        if *self.is_beyond.get_mut()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            self.source.beyond.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl PermitSource {
    /// Returns how many handshakes may be under way: in all, and of each peer.
    pub fn max_handshakes(&self, limits: &Limits) -> (usize, usize) {
        match self {
            Self::Local(_) => limits.handshakes(),
            #[cfg(unix)]
            Self::Shared(member) => member.max_handshakes(),
        }
    }

    /// Returns how many handshakes are under way in all processes, of this peer or of all. None if there is only
    /// this process.
    pub fn handshakes(&self, peer: Option<IpAddr>) -> Option<usize> {
        match (self, peer) {
            (Self::Local(_), _) => None,
            #[cfg(unix)]
            (Self::Shared(member), Some(peer)) => Some(member.handshakes_of(peer)),
            #[cfg(unix)]
            (Self::Shared(member), None) => Some(member.handshakes()),
        }
    }

    /// Returns how many processes serve connections.
    pub fn processes(&self) -> usize {
        match self {
            Self::Local(_) => 1,
            #[cfg(unix)]
            Self::Shared(member) => member.processes(),
        }
    }
}

/// A permit for one connection. Dropping it gives it back.
pub(crate) enum Permit {
    Local(LocalPermit),
    #[cfg(unix)]
    Shared(quota::Permit),
}

impl Permit {
    /// Counts the connection and returns its number, if that is done for several processes together.
    pub fn begin(&self) -> Option<u64> {
        match self {
            Self::Local(_) => None,
            #[cfg(unix)]
            Self::Shared(permit) => Some(permit.begin()),
        }
    }

    /// Counts the connection's handshake, as one of this peer if that is known, if that is done for several
    /// processes together.
    #[cfg_attr(
        not(unix),
        expect(unused_variables, reason = "each process counts its own")
    )]
    pub fn begin_handshake(&self, peer: Option<IpAddr>) {
        match self {
            Self::Local(_) => {}
            #[cfg(unix)]
            Self::Shared(permit) => permit.begin_handshake(peer),
        }
    }

    /// Lets another connection have the instance of this one, which continues without: as far as connections without an
    /// instance may be more than there are instances for.
    pub fn leave_instance(&self) {
        match self {
            Self::Local(permit) => permit.leave_instance(),
            #[cfg(unix)]
            Self::Shared(permit) => permit.leave_instance(),
        }
    }

    /// Removes the connection's handshake from the counts.
    pub fn end_handshake(&self) {
        match self {
            Self::Local(_) => {}
            #[cfg(unix)]
            Self::Shared(permit) => permit.end_handshake(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_without_an_instance_leave_it_to_others_within_the_limit() {
        let permits = LocalPermits::new(1, 1);
        let take = || {
            let taken = Arc::clone(permits.semaphore()).try_acquire_owned();
            taken.ok().map(|permit| permits.permit(permit))
        };
        let first = take().expect("one with an instance");
        assert!(take().is_none());
        first.leave_instance();
        let second = take().expect("it has left it");
        second.leave_instance();
        assert!(take().is_none(), "both count");
        drop(first);
        assert!(take().is_none(), "the other one has its instance's");
        drop(second);
        let again = take().expect("all are free");
        again.leave_instance();
        assert!(take().is_some());
    }
}
