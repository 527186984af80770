//! What each peer has used of the processors, for all of its connections, in all processes of the server.
//!
//! A connection that has used a lot goes to the background. Its peer could begin another one instead: so a new
//! connection starts with what its peer has used.

use crate::limits::{UsageTable, number_of};
#[cfg(unix)]
use crate::quota::Member;
use crate::runtime::Payer;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a peer may use, in microseconds, without consequences for its new connections. Half of what was used is
/// forgotten after each second.
const ALLOWED: u32 = 10_000;

/// The most that a new connection starts with, in microseconds: if it is light, it is in the foreground within about
/// three seconds.
const MOST_DEBT: u32 = 12_000;

/// For how long it is taken as known what the peer has used that has used least, in milliseconds.
const INTERVAL: u32 = 20;

/// The accounts of the peers.
#[derive(Clone)]
pub(super) struct Accounts(Arc<Inner>);

struct Inner {
    table: Table,
    /// What the active peer has used that has used least, and when that was: two halves of a word.
    least: AtomicU64,
}

enum Table {
    Local {
        words: Box<[AtomicU64]>,
        hasher: RandomState,
        start: Instant,
    },
    #[cfg(unix)]
    Shared(Member),
}

impl Accounts {
    pub fn local() -> Self {
        Self::new(Table::Local {
            words: (0..UsageTable::WORDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            start: Instant::now(),
        })
    }

    #[cfg(unix)]
    pub fn shared(member: Member) -> Self {
        Self::new(Table::Shared(member))
    }

    fn new(table: Table) -> Self {
        let least = AtomicU64::new(u64::MAX);
        Self(Arc::new(Inner { table, least }))
    }

    /// Returns the account of a peer: of an address, or of the network that stands for it.
    pub fn of(&self, peer: IpAddr) -> PeerAccount {
        PeerAccount {
            peer: self.0.table.hash(number_of(peer)),
            accounts: self.clone(),
        }
    }
}

impl Table {
    fn hash(&self, peer: u128) -> u64 {
        match self {
            Self::Local { hasher, .. } => hasher.hash_one(peer),
            #[cfg(unix)]
            Self::Shared(member) => member.hash(peer),
        }
    }

    /// Returns the table, and the time of its clock in milliseconds.
    fn usage(&self) -> (Option<UsageTable<'_>>, u32) {
        match self {
            Self::Local { words, start, .. } => {
                (UsageTable::new(words), start.elapsed().as_millis() as u32)
            }
            #[cfg(unix)]
            Self::Shared(member) => member.usage(),
        }
    }
}

impl Inner {
    /// Returns whether a peer that has used so much has used half as much again as another one that is active.
    fn is_above(&self, used: u32, usage: UsageTable<'_>, now: u32) -> bool {
        let is_above = |least| used / 3 * 2 > least;
        // What is known may be what the peer itself had used a while ago.
        is_above(self.known(usage, now)) && is_above(self.look(usage, now))
    }

    /// Returns what the active peer has used, or had a while ago, that has used least.
    fn known(&self, usage: UsageTable<'_>, now: u32) -> u32 {
        let known = self.least.load(Ordering::Relaxed);
        let age = now.wrapping_sub((known >> 32) as u32);
        match known != u64::MAX && age < INTERVAL {
            true => known as u32,
            false => self.look(usage, now),
        }
    }

    fn look(&self, usage: UsageTable<'_>, now: u32) -> u32 {
        let least = usage.least(now).unwrap_or(0);
        let word = u64::from(now) << 32 | u64::from(least);
        self.least.store(word, Ordering::Relaxed);
        least
    }
}

/// The account of one peer.
pub(super) struct PeerAccount {
    accounts: Accounts,
    peer: u64,
}

impl Payer for PeerAccount {
    fn charge(&self, time: Duration) {
        let (usage, now) = self.accounts.0.table.usage();
        if let Some(usage) = usage {
            let time = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
            usage.charge(self.peer, time, now);
        }
    }

    /// Nothing, unless the peer has used a lot, and half as much again as another one that is active.
    fn debt(&self) -> Duration {
        let Inner { table, .. } = &*self.accounts.0;
        let (Some(usage), now) = table.usage() else {
            return Duration::ZERO;
        };
        let used = usage.used(self.peer, now);
        if used <= ALLOWED || !self.accounts.0.is_above(used, usage, now) {
            return Duration::ZERO;
        }
        Duration::from_micros(used.min(MOST_DEBT).into())
    }

    /// By how much the connections of the peer have exceeded their shares.
    fn used(&self) -> Duration {
        let (usage, now) = self.accounts.0.table.usage();
        let used = usage.map_or(0, |usage| usage.used(self.peer, now));
        Duration::from_micros(used.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(accounts: &Accounts, last: u8) -> PeerAccount {
        accounts.of([192, 0, 2, last].into())
    }

    #[test]
    fn a_peer_that_has_used_more_than_others_is_in_debt() {
        let accounts = Accounts::local();
        let [one, other] = [1, 2].map(|last| account(&accounts, last));
        one.charge(Duration::from_secs(2));
        assert_eq!(one.debt(), Duration::ZERO, "no other is active");
        other.charge(Duration::from_millis(1));
        accounts.0.least.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(one.debt(), Duration::from_micros(MOST_DEBT.into()));
        assert_eq!(other.debt(), Duration::ZERO);
        assert!(
            account(&accounts, 1).debt() > Duration::ZERO,
            "all its connections"
        );
        other.charge(Duration::from_secs(2));
        accounts.0.least.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(one.debt(), Duration::ZERO, "both use as much");
    }

    #[test]
    fn a_peer_that_is_alone_is_not_in_debt_to_what_it_had_used_before() {
        let accounts = Accounts::local();
        let one = account(&accounts, 1);
        one.charge(Duration::from_millis(11));
        assert_eq!(one.debt(), Duration::ZERO);
        one.charge(Duration::from_secs(1));
        assert_eq!(one.debt(), Duration::ZERO);
    }

    #[cfg(unix)]
    #[test]
    fn processes_share_the_accounts() {
        let limits = crate::Limits::default();
        let quota = crate::Quota::create(&limits, None, 2).expect("memory");
        let [here, there] = [0, 1].map(|member| Accounts::shared(quota.join(member, 10)));
        account(&here, 1).charge(Duration::from_secs(1));
        account(&there, 2).charge(Duration::from_millis(1));
        assert!(account(&there, 1).debt() > Duration::ZERO);
        assert_eq!(account(&here, 2).debt(), Duration::ZERO);
    }
}
