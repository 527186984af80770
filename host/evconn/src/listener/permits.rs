//! Permits of a server, of which each connection has one: from a semaphore, or from the quota that several
//! processes share.

#[cfg(unix)]
use crate::quota::{self, Member};
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
}
