//! The counters of a server: of its own, or in the memory that it shares with other processes.

use crate::listener::Permit;
#[cfg(unix)]
use crate::quota::Member;
use crate::served::{Count, Served};
use std::sync::atomic::{AtomicU64, Ordering};

/// The outcome of a connection, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Done,
    /// It was reset by its number, which has no count of its own.
    Reset,
    Failed,
    PeerGone,
    Refused,
    TimedOut,
    Killed,
}

pub(super) enum Counters {
    Local([AtomicU64; Count::ALL.len()]),
    #[cfg(unix)]
    Shared(Member),
}

impl Default for Counters {
    fn default() -> Self {
        Self::Local(Default::default())
    }
}

impl Counters {
    /// Counts a connection, and returns its number. The first one is 1.
    pub fn begin(&self, permit: Option<&Permit>) -> u64 {
        match permit.and_then(Permit::begin) {
            Some(number) => number,
            None => self.counter(Count::Begun).fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    pub fn begun(&self) -> u64 {
        self.counter(Count::Begun).load(Ordering::Relaxed)
    }

    /// Counts a connection that its listener has reset, since its peer is denied.
    pub fn deny(&self) {
        self.add(Count::Denied);
    }

    pub fn end(&self, kind: Kind) {
        match kind {
            Kind::Done | Kind::Reset => {}
            Kind::Failed => self.add(Count::Failed),
            Kind::PeerGone => self.add(Count::PeerGone),
            Kind::Refused => self.add(Count::Refused),
            Kind::TimedOut => self.add(Count::TimedOut),
            Kind::Killed => self.add(Count::Killed),
        }
        self.add(Count::Ended);
    }

    pub fn served(&self) -> Served {
        Served::from_counts(|count| self.counter(count).load(Ordering::Relaxed))
    }

    fn add(&self, count: Count) {
        self.counter(count).fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, count: Count) -> &AtomicU64 {
        match self {
            Self::Local(counters) => &counters[count as usize],
            #[cfg(unix)]
            Self::Shared(member) => member.counter(count),
        }
    }
}
