//! Permits of a server, of which each connection has one: from a semaphore, or from the quota that several
//! processes share.

use crate::limits::Limits;
#[cfg(unix)]
use crate::quota::{self, Member};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where the permits of a server come from. Clones are the same source.
#[derive(Clone)]
pub(crate) enum PermitSource {
    /// This process alone.
    Local(Arc<Semaphore>),
    /// All processes together.
    #[cfg(unix)]
    Shared(Member),
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
    // Held for its destructor.
    Local(#[allow(dead_code, reason = "it is only dropped")] OwnedSemaphorePermit),
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

    /// Removes the connection's handshake from the counts.
    pub fn end_handshake(&self) {
        match self {
            Self::Local(_) => {}
            #[cfg(unix)]
            Self::Shared(permit) => permit.end_handshake(),
        }
    }
}
