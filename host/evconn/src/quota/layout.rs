//! The layout of the shared memory, and the settings at its beginning, which never change.
//!
//! ```text
//! the lock | settings | state | a slot for each member, and for past ones | entries | free entries | peers | CPU time of peers | log | rates of peers
//! ```

use super::memory::Memory;
use crate::Limits;
use crate::limits::{LogWords, RateTable, UsageTable};
use crate::metrics::WORDS;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;

/// The first word: it identifies the memory of a quota, and the version of its layout.
const MAGIC: u64 = u64::from_be_bytes(*b"evquota5");

/// The largest number of connections: more than a machine has descriptors for.
const MOST_CONNECTIONS: usize = 1 << 24;

/// Words of the settings. 0 is the magic.
mod setting {
    pub const MEMBERS: usize = 1;
    pub const CONNECTIONS: usize = 2;
    /// 0: no limit; otherwise one more than the limit.
    pub const PER_PEER: usize = 3;
    pub const IPV6_PREFIX: usize = 4;
    /// 0: no limit.
    pub const RATE: usize = 5;
    pub const HASH_KEYS: [usize; 2] = [6, 7];
    // Behind the state.
    /// The limits of handshakes: in all, and of each peer.
    pub const HANDSHAKES: [usize; 2] = [21, 22];
    /// 0: the limit is one of peers with a public address.
    pub const LIMITS_ALL_PEERS: usize = 23;
    /// How many connections a peer may open per second, and how many bytes it may receive and send. 0: no limit.
    pub const ACCEPT_RATE_PER_PEER: usize = 25;
    pub const LIMIT_RATE_PER_PEER: usize = 26;
}

/// Words of the state of the whole server.
pub(super) mod state {
    /// How many times the lock has been taken.
    pub const GENERATION: usize = 8;
    /// Set if the data that are derived from the entries may be wrong.
    pub const DIRTY: usize = 9;
    /// Number of free entries.
    pub const FREE: usize = 10;
    /// Number of open connections.
    pub const OPEN: usize = 11;
    /// The number of the connection that began last.
    pub const NUMBER: usize = 12;
    /// When an entry was freed last, in nanoseconds of the monotonic clock.
    pub const LAST_RELEASE: usize = 13;
    /// What processes wait for the bell for: bits of [`Awaited`](super::super::table::Awaited).
    pub const WAITING: usize = 14;
    /// The bucket of tokens: its time and its level.
    pub const BUCKET: [usize; 2] = [15, 16];
    /// The member whose connection began last, and when: see [`table`](super::super::table).
    pub const LAST_BEGUN: usize = 17;
    /// Number of handshakes under way.
    pub const HANDSHAKES: usize = 18;
    /// Odd while the counts of a member are added to those of past members.
    pub const MERGES: usize = 24;
}

/// Words of the slot of a member.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// Number of its entries.
    Entries = 0,
    /// Number of its open connections.
    Open = 1,
    /// Number of its acceptors that accept.
    Accepting = 2,
    /// Set if another process had to take the lock away from it.
    LockLost = 3,
    /// Its process.
    Process = 4,
    /// What it counts: [`WORDS`].
    Counts = 8,
}

/// Words of an entry.
#[derive(Clone, Copy)]
pub(super) enum Entry {
    /// The member that has it, and flags: see [`table`](super::table).
    Owner = 0,
    /// The upper and the lower half of its peer's address.
    PeerHigh = 1,
    PeerLow = 2,
}

/// Words of a peer.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    High = 0,
    Low = 1,
    /// Number of its connections that count against its limit.
    Connections = 2,
    /// Number of its handshakes under way. If both numbers are 0, the place is free.
    Handshakes = 3,
}

const SLOTS: usize = 32;
/// A slot is whole cache lines, so that no member writes to those of another one.
const SLOT: usize = (8 + WORDS).next_multiple_of(8);
const ENTRY: usize = 3;
const PEER: usize = 4;

/// The settings, as they were when they were checked: other processes cannot change this copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub members: u16,
    pub connections: usize,
    pub per_peer: Option<usize>,
    /// Whether that is a limit of all peers, rather than of those with a public address.
    pub limits_all_peers: bool,
    /// How many handshakes may be under way: in all, and of each peer.
    pub handshakes: [usize; 2],
    pub ipv6_prefix: u8,
    pub rate: Option<NonZeroU32>,
    pub accept_rate_per_peer: Option<NonZeroU32>,
    pub limit_rate_per_peer: Option<NonZeroU64>,
    /// Random, so that no peer can choose its place among the peers.
    pub hash_keys: [u64; 2],
}

impl Layout {
    pub fn new(limits: &Limits, rate: Option<NonZeroU32>, members: u16) -> io::Result<Self> {
        let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if limits.max_connections > MOST_CONNECTIONS {
            return invalid(format!(
                "a quota of {} connections: at most {MOST_CONNECTIONS} are possible",
                limits.max_connections
            ));
        }
        if members == 0 {
            return invalid("a quota without members: at least 1 is required".to_owned());
        }
        let random = RandomState::new();
        let handshakes = limits.handshakes();
        Ok(Self {
            members,
            connections: limits.max_connections,
            per_peer: limits.max_connections_of_limited(),
            limits_all_peers: limits.max_connections_per_peer.is_some(),
            handshakes: [handshakes.0, handshakes.1],
            ipv6_prefix: limits.peer_ipv6_prefix,
            rate,
            accept_rate_per_peer: limits.accept_rate_per_peer,
            limit_rate_per_peer: limits.limit_rate_per_peer,
            hash_keys: [0, 1].map(|index| random.hash_one(index)),
        })
    }

    /// Writes the settings to a new memory.
    pub fn write(&self, memory: &Memory) {
        memory.set(setting::MEMBERS, self.members.into());
        memory.set(setting::CONNECTIONS, self.connections as u64);
        let per_peer = |most: usize| (most as u64).saturating_add(1);
        memory.set(setting::PER_PEER, self.per_peer.map_or(0, per_peer));
        memory.set(setting::LIMITS_ALL_PEERS, self.limits_all_peers.into());
        for (word, most) in setting::HANDSHAKES.into_iter().zip(self.handshakes) {
            memory.set(word, most as u64);
        }
        memory.set(setting::IPV6_PREFIX, self.ipv6_prefix.into());
        let count = |rate: Option<NonZeroU32>| rate.map_or(0, |rate| rate.get().into());
        memory.set(setting::RATE, count(self.rate));
        memory.set(
            setting::ACCEPT_RATE_PER_PEER,
            count(self.accept_rate_per_peer),
        );
        let bytes = self.limit_rate_per_peer.map_or(0, NonZeroU64::get);
        memory.set(setting::LIMIT_RATE_PER_PEER, bytes);
        for (word, key) in setting::HASH_KEYS.into_iter().zip(self.hash_keys) {
            memory.set(word, key);
        }
        memory.set(0, MAGIC);
    }

    /// Reads the settings from a memory, and checks that it is as large as they require.
    pub fn read(memory: &Memory) -> io::Result<Self> {
        Self::checked(memory).ok_or_else(|| {
            let message = "the shared memory is not a quota, or one of another version of evconn";
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    fn checked(memory: &Memory) -> Option<Self> {
        if memory.len() < SLOTS || memory.get(0) != MAGIC {
            return None;
        }
        let per_peer = memory.get(setting::PER_PEER).checked_sub(1);
        let count = |word| Some(NonZeroU32::new(memory.get(word).try_into().ok()?));
        let layout = Self {
            members: memory.get(setting::MEMBERS).try_into().ok()?,
            connections: memory.get(setting::CONNECTIONS).try_into().ok()?,
            per_peer: per_peer.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            limits_all_peers: memory.get(setting::LIMITS_ALL_PEERS) != 0,
            handshakes: setting::HANDSHAKES
                .map(|word| usize::try_from(memory.get(word)).unwrap_or(usize::MAX)),
            ipv6_prefix: memory.get(setting::IPV6_PREFIX).try_into().ok()?,
            rate: count(setting::RATE)?,
            accept_rate_per_peer: count(setting::ACCEPT_RATE_PER_PEER)?,
            limit_rate_per_peer: NonZeroU64::new(memory.get(setting::LIMIT_RATE_PER_PEER)),
            hash_keys: setting::HASH_KEYS.map(|word| memory.get(word)),
        };
        let fits = layout.members > 0
            && layout.connections <= MOST_CONNECTIONS
            && layout.words() == memory.len();
        fits.then_some(layout)
    }

    /// Returns the number of words of the memory.
    pub fn words(&self) -> usize {
        self.rates().end
    }

    /// Returns where the words of the [`RateTable`] are. There are none if peers have no rates.
    pub fn rates(&self) -> Range<usize> {
        let first = self.log_at() + LogWords::COUNT;
        let has_any = self.accept_rate_per_peer.is_some() || self.limit_rate_per_peer.is_some();
        first..first + if has_any { RateTable::WORDS } else { 0 }
    }

    /// Returns where the words of the log budget begin.
    pub fn log_at(&self) -> usize {
        self.usage().end
    }

    /// Returns where the words of the [`UsageTable`] are.
    pub fn usage(&self) -> Range<usize> {
        let first = self.peers_at() + PEER * self.peers();
        first..first + UsageTable::WORDS
    }

    /// Returns the number of places for peers: a power of two, of which at most half is in use.
    pub fn peers(&self) -> usize {
        (2 * self.connections).next_power_of_two()
    }

    pub fn slot(&self, member: u16, word: Slot) -> usize {
        SLOTS + SLOT * usize::from(member) + word as usize
    }

    /// Returns where the counts of a member are.
    pub fn counts(&self, member: u16) -> Range<usize> {
        let first = self.slot(member, Slot::Counts);
        first..first + WORDS
    }

    /// Returns where those of all past members are: they have a slot, too.
    pub fn past_counts(&self) -> Range<usize> {
        self.counts(self.members)
    }

    pub fn entry(&self, entry: usize, word: Entry) -> usize {
        self.entries_at() + ENTRY * entry + word as usize
    }

    /// Returns where the list of free entries has its element `position`. The last element is taken next.
    pub fn free(&self, position: usize) -> usize {
        self.free_at() + position
    }

    pub fn peer(&self, place: usize, word: Peer) -> usize {
        self.peers_at() + PEER * place + word as usize
    }

    fn entries_at(&self) -> usize {
        SLOTS + SLOT * (usize::from(self.members) + 1)
    }

    fn free_at(&self) -> usize {
        self.entries_at() + ENTRY * self.connections
    }

    fn peers_at(&self) -> usize {
        self.free_at() + self.connections
    }
}
