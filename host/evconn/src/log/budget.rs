//! The log budget: how much connections may cause to be logged, so that nobody fills the disk, or hides what happens
//! to others.
//!
//! Lines about a connection cost their length, and are left out if that exceeds what is left: of all peers, or of
//! this one, which may have half of it. Refused connections are cheap to cause, so that just one is logged each
//! second. What was left out is counted, and the count is logged.

use crate::limits::{Limits, LogWords, PEER_BUCKETS, counted_as};
#[cfg(unix)]
use crate::quota::Member;
use crate::sockets::Peer;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a line costs besides its text: its time, level and fields.
const OVERHEAD: usize = 120;

/// What is taken for a line whose text takes time to make, until its length is known.
const RESERVED: usize = 4 << 10;

/// How often what was left out is logged.
const REPORT_PERIOD: Duration = Duration::from_secs(10);

/// How many peers are counted one by one, until the next report.
const MAX_COUNTED: usize = 256;

/// The log budget of a server: of this process alone, or of all that share a quota.
pub(crate) struct LogBudget {
    /// None: no limit, except that of lines about refused connections.
    per_second: Option<NonZeroU32>,
    ipv6_prefix: u8,
    /// Random, so that no peer can choose with whom it shares.
    keys: [u64; 2],
    memory: Memory,
    left_out: Mutex<LeftOut>,
}

enum Memory {
    Local {
        words: Mutex<Box<[AtomicU64]>>,
        start: Instant,
    },
    #[cfg(unix)]
    Shared(Member),
}

/// How many lines were left out since the last report.
#[derive(Debug, Default)]
struct LeftOut {
    all: u64,
    of_peers: HashMap<Option<IpAddr>, u64>,
}

impl LogBudget {
    /// Returns the budget of this process.
    pub fn local(limits: &Limits) -> Self {
        let random = RandomState::new();
        let words = (0..LogWords::COUNT).map(|_| AtomicU64::new(0)).collect();
        let memory = Memory::Local {
            words: Mutex::new(words),
            start: Instant::now(),
        };
        Self::new(limits, [0, 1].map(|index| random.hash_one(index)), memory)
    }

    /// Returns the budget of all members of a quota.
    #[cfg(unix)]
    pub fn shared(limits: &Limits, member: Member) -> Self {
        Self::new(limits, member.hash_keys(), Memory::Shared(member))
    }

    fn new(limits: &Limits, keys: [u64; 2], memory: Memory) -> Self {
        Self {
            per_second: limits.log_budget,
            ipv6_prefix: limits.peer_ipv6_prefix,
            keys,
            memory,
            left_out: Mutex::default(),
        }
    }

    /// Returns whether a line about a connection of this peer may be logged. Its text is as it will be logged.
    pub fn take(&self, peer: &Peer, text: &str) -> bool {
        self.take_bytes(self.counted_as(peer), OVERHEAD + length(text))
    }

    /// Returns whether a line may be logged that is about no peer, or about several.
    pub fn take_for_all(&self, text: &str) -> bool {
        self.take_bytes(None, OVERHEAD + length(text))
    }

    /// Returns whether a line of so many bytes about a connection of this peer may be logged, which is logged for most
    /// connections: half of what may be logged at once is left for what fails.
    pub fn take_spare(&self, peer: &Peer, bytes: usize) -> bool {
        let Some(per_second) = self.per_second else {
            return true;
        };
        let peer = self.counted_as(peer);
        let bucket = self.bucket(peer);
        let spare = LogWords::most(per_second) / 2;
        let taken = self.with_words(|words| {
            let taken = words.take(bucket, bytes + spare, per_second);
            if taken {
                words.give_back(bucket, spare, per_second);
            }
            taken
        });
        if !taken {
            self.left_out().add(peer);
        }
        taken
    }

    /// Takes what a line may cost whose text takes time to make. Returns None if it may not be logged.
    pub fn reserve(&self, peer: &Peer) -> Option<Reserved<'_>> {
        let reserved = Reserved {
            budget: self,
            peer: self.counted_as(peer),
            bytes: self
                .per_second
                .map_or(0, |rate| RESERVED.min(LogWords::most(rate))),
        };
        self.take_bytes(reserved.peer, reserved.bytes)
            .then_some(reserved)
    }

    fn take_bytes(&self, peer: Option<IpAddr>, bytes: usize) -> bool {
        let Some(per_second) = self.per_second else {
            return true;
        };
        let bucket = self.bucket(peer);
        let taken = self.with_words(|words| words.take(bucket, bytes, per_second));
        if !taken {
            self.left_out().add(peer);
        }
        taken
    }

    fn give_back(&self, peer: Option<IpAddr>, bytes: usize) {
        if let Some(per_second) = self.per_second {
            let bucket = self.bucket(peer);
            self.with_words(|words| words.give_back(bucket, bytes, per_second));
        }
    }

    /// Returns whether a refused connection may be logged now, and how many others were not before.
    pub fn refuse(&self) -> Option<u64> {
        self.with_words(|words| words.refuse())
    }

    /// Logs what was left out, from time to time.
    pub async fn report_all(&self) -> Infallible {
        loop {
            tokio::time::sleep(REPORT_PERIOD).await;
            self.report();
        }
    }

    /// Logs what was left out since the last report, at the end of the server.
    pub fn report_rest(&self) {
        self.report_at(true);
    }

    fn report(&self) {
        self.report_at(false);
    }

    fn report_at(&self, is_end: bool) {
        let left_out = std::mem::take(&mut *self.left_out());
        if left_out.all > 0 {
            tracing::warn!(
                "connections log more than the log budget (--log-budget; in the library, Limits::log_budget): \
                 {left_out}"
            );
        }
        if let Some(count) = self.with_words(|words| words.take_not_logged(is_end)) {
            tracing::info!("connections refused that were not logged: {count}");
        }
    }

    fn counted_as(&self, peer: &Peer) -> Option<IpAddr> {
        match peer {
            Peer::Address(address) => Some(counted_as(address.ip(), self.ipv6_prefix)),
            Peer::Unix(_) => None,
        }
    }

    fn bucket(&self, peer: Option<IpAddr>) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.keys, peer).hash(&mut hasher);
        (hasher.finish() % PEER_BUCKETS as u64) as usize
    }

    fn with_words<T>(&self, action: impl FnOnce(LogWords<'_>) -> T) -> T {
        match &self.memory {
            Memory::Local { words, start } => {
                // Whatever is in them is valid.
                let words = words.lock().unwrap_or_else(PoisonError::into_inner);
                let passed = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                action(LogWords {
                    words: &words,
                    now: passed.saturating_add(1),
                })
            }
            #[cfg(unix)]
            Memory::Shared(member) => member.with_log_words(action),
        }
    }

    fn left_out(&self) -> MutexGuard<'_, LeftOut> {
        // Nothing in there panics halfway.
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a text costs: JSON escapes some bytes once more.
fn length(text: &str) -> usize {
    let escapes = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\'));
    text.len() + escapes.count()
}

/// What was taken for a line that is being made.
pub(crate) struct Reserved<'a> {
    budget: &'a LogBudget,
    peer: Option<IpAddr>,
    bytes: usize,
}

impl Reserved<'_> {
    /// Returns whether the line with these texts may be logged. Gives back what it does not cost.
    pub fn spend(self, texts: &[&str]) -> bool {
        let Self {
            budget,
            peer,
            bytes,
        } = self;
        let length = texts.iter().map(|text| length(text)).sum::<usize>();
        let cost = OVERHEAD + length;
        let missing = cost.saturating_sub(bytes);
        let fits = missing == 0 || budget.take_bytes(peer, missing);
        let spent = if fits { cost } else { 0 };
        budget.give_back(peer, bytes.saturating_sub(spent));
        fits
    }
}

impl fmt::Debug for LogBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBudget")
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

impl LeftOut {
    fn add(&mut self, peer: Option<IpAddr>) {
        self.all += 1;
        if self.of_peers.len() < MAX_COUNTED || self.of_peers.contains_key(&peer) {
            *self.of_peers.entry(peer).or_default() += 1;
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines were left out", self.all)?;
        let most = self.of_peers.iter().max_by_key(|(_, count)| **count);
        match most {
            Some((Some(peer), count)) => write!(f, ", {count} of them about the peer {peer}"),
            Some((None, count)) => write!(f, ", {count} of them about peers of Unix sockets"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_second: Option<u32>) -> LogBudget {
        LogBudget::local(&Limits {
            log_budget: per_second.and_then(NonZeroU32::new),
            ..Limits::default()
        })
    }

    fn peer(address: &str) -> Peer {
        Peer::Address(address.parse().expect("an address"))
    }

    #[test]
    fn what_exceeds_the_budget_of_a_peer_is_counted() {
        let budget = budget(Some(1_000));
        let (greedy, port) = (peer("192.0.2.1:1"), peer("192.0.2.1:2"));
        while budget.take(&greedy, "text") {}
        assert!(!budget.take(&port, "text"));
        let shown = budget.left_out().to_string();
        let lines = "2 lines were left out, 2 of them about the peer 192.0.2.1";
        assert_eq!(shown, lines);
        budget.report();
        assert_eq!(budget.left_out().all, 0);
    }

    #[test]
    fn a_peer_does_not_silence_others() {
        // Some share a bucket, but not all.
        let budget = budget(Some(100_000));
        let greedy = peer("192.0.2.1:1");
        while budget.take(&greedy, "text") {}
        let others = (2..100).map(|last| peer(&format!("192.0.2.{last}:1")));
        let logged = others.filter(|other| budget.take(other, "text")).count();
        assert!(logged > 90, "{logged}");
    }

    #[test]
    fn escapes_cost_what_they_take() {
        let (one, other) = (budget(Some(1_000)), budget(Some(1_000)));
        let count = |budget: &LogBudget, text: &str| {
            let peer = peer("192.0.2.1:1");
            (0..).take_while(|_| budget.take(&peer, text)).count()
        };
        assert!(count(&one, &"\\".repeat(100)) < count(&other, &"x".repeat(100)));
    }

    #[test]
    fn what_was_reserved_and_not_spent_is_given_back() {
        let budget = budget(Some(64 << 10));
        let peer = peer("192.0.2.1:1");
        let lines = |text: &str| {
            let spend = || {
                budget
                    .reserve(&peer)
                    .is_some_and(|line| line.spend(&[text]))
            };
            (0..).take_while(|_| spend()).count()
        };
        // Until there is not enough for a long line any more.
        let spent = lines("text") * (OVERHEAD + "text".len());
        assert!((56 << 10..=80 << 10).contains(&spent), "{spent}");
        while budget.take(&peer, "text") {}
        assert_eq!(lines("text"), 0);
    }

    #[test]
    fn what_is_logged_for_most_connections_leaves_half_to_what_fails() {
        let budget = budget(Some(64 << 10));
        let peer = peer("192.0.2.1:1");
        let lines = (0..).take_while(|_| budget.take_spare(&peer, 200)).count();
        // Half of what one peer may have logged at once.
        assert!((150..=200).contains(&lines), "{lines}");
        let others = (0..).take_while(|_| budget.take(&peer, "text")).count();
        assert!(others * (OVERHEAD + 4) >= 31 << 10, "{others}");
        assert_eq!(budget.left_out().all, 2);
    }

    #[test]
    fn a_small_budget_is_kept_as_well() {
        let budget = budget(Some(1_000));
        let peer = peer("192.0.2.1:1");
        let spend = || {
            budget
                .reserve(&peer)
                .is_some_and(|line| line.spend(&["text"]))
        };
        let lines = (0..100).filter(|_| spend()).count();
        assert!((1..=10).contains(&lines), "{lines}");
    }

    #[test]
    fn without_a_limit_everything_is_logged() {
        let budget = budget(None);
        let peer = peer("192.0.2.1:1");
        assert!((0..10_000).all(|_| budget.take(&peer, "text")));
        assert_eq!(budget.refuse(), Some(0));
        assert_eq!(budget.refuse(), None);
    }
}
