//! The table of connections: an entry for each that may be open.
//!
//! The entries are authoritative. One word of an entry says whether it is free or which member has it, so that
//! an entry is valid at any instant. The list of free entries, the numbers of entries and the counts of peers
//! are derived from the entries, and valid only while nobody holds the lock: they are rebuilt after the lock
//! was taken away from its holder.

mod counts;

use super::layout::{Entry, Layout, Slot, state};
use super::lock::{Holder, Locked, Subject, Terms, holder, lock};
use super::memory::Memory;
use super::peers::Peers;
use crate::limits::Bucket;
use crate::metrics::{Count, Snapshot};
use counts::{HANDSHAKE, counted};
use std::num::NonZeroU32;
use std::time::Duration;

/// The bits of an entry's owner: the number of the member plus 1, or 0 if it is free; and flags, more of which are in
/// [`counts`].
const MEMBER: u64 = (1 << 20) - 1;
/// It is a connection, rather than a permit for one.
const CONNECTION: u64 = 1 << 20;
/// How long a member waits for another one that was stopped while it held the lock. The supervisor, which
/// kills that one, is faster.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the supervisor waits for a member that was stopped while it held the lock.
const PATIENCE_OF_SUPERVISOR: Duration = Duration::from_millis(500);

/// How many times the counts are read if they are being added to others, which takes microseconds.
const MOST_READS: usize = 1_000;

/// What processes wait for the bell for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Awaited {
    Permits = 1,
    Tokens = 2,
}

/// The shared memory and its layout.
pub(super) struct Table {
    pub memory: Memory,
    pub layout: Layout,
}

/// The table while this process holds the lock.
pub(super) struct Session<'a> {
    table: &'a Table,
    _locked: Locked<'a>,
}

/// Whether a process waits for what was given back, so that the bell has to be rung.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring(pub bool);

/// In the word of the connection that began last: how many bits have the time, in microseconds. The others have the
/// number of the member and 1.
const MICROSECONDS: u32 = 48;

fn last_begun(member: u16, now: u64) -> u64 {
    let time = (now / 1_000) & ((1 << MICROSECONDS) - 1);
    (u64::from(member) + 1) << MICROSECONDS | time
}

impl Table {
    pub fn create(layout: Layout, now: u64) -> std::io::Result<Self> {
        let memory = Memory::create(layout.words())?;
        layout.write(&memory);
        memory.set(state::LAST_RELEASE, now);
        if let Some(rate) = layout.rate {
            let bucket = Bucket::new(rate, rate, now);
            write_bucket(&memory, &bucket);
        }
        let table = Self { memory, layout };
        table.session(Holder::SUPERVISOR, None, PATIENCE).rebuild();
        Ok(table)
    }

    /// Takes the lock as this member.
    pub fn lock(&self, member: u16) -> Session<'_> {
        self.session(Holder::member(member), None, PATIENCE)
    }

    /// Takes the lock as the supervisor.
    #[cfg(test)]
    pub fn supervise(&self) -> Session<'_> {
        self.session(Holder::SUPERVISOR, None, PATIENCE)
    }

    fn session(&self, who: Holder, gone: Option<u16>, patience: Duration) -> Session<'_> {
        let terms = Terms {
            holder: who,
            members: self.layout.members,
            gone,
            patience,
        };
        let locked = lock(&self.memory, terms, self);
        let taken_from = locked.taken_from;
        let mut session = Session {
            table: self,
            _locked: locked,
        };
        self.memory.add(state::GENERATION, 1);
        if let Some(previous) = taken_from {
            session.record_loss(previous, gone);
        }
        if taken_from.is_some() || self.memory.get(state::DIRTY) != 0 {
            session.rebuild();
        }
        session
    }

    /// Returns the holder of the lock, and how many times it has been taken.
    pub fn holder(&self) -> Option<(Holder, u64)> {
        holder(&self.memory).map(|holder| (holder, self.memory.get(state::GENERATION)))
    }

    /// Frees the entries of a member whose process is gone, and resets its slot. Returns how many connections
    /// it had.
    pub fn release(&self, member: u16, now: u64) -> usize {
        let gone = Some(member);
        let mut session = self.session(Holder::SUPERVISOR, gone, PATIENCE_OF_SUPERVISOR);
        session.release(member, now)
    }

    /// Returns how many connections are open.
    pub fn open(&self) -> usize {
        self.at_most_all(self.memory.get(state::OPEN))
    }

    /// Returns the member whose connection began last, and how long ago.
    pub fn last_begun(&self, now: u64) -> Option<(u16, Duration)> {
        let word = self.memory.get(state::LAST_BEGUN);
        let member = u16::try_from(word >> MICROSECONDS).ok()?.checked_sub(1)?;
        let then = word & ((1 << MICROSECONDS) - 1);
        let ago = Duration::from_micros((now / 1_000).saturating_sub(then));
        (member < self.layout.members).then_some((member, ago))
    }

    /// Returns how many connections a member has.
    pub fn open_of(&self, member: u16) -> usize {
        self.of_slot(member, Slot::Open)
    }

    pub fn of_slot(&self, member: u16, word: Slot) -> usize {
        self.at_most_all(self.memory.get(self.layout.slot(member, word)))
    }

    /// Returns how many handshakes are under way.
    pub fn handshakes(&self) -> usize {
        self.at_most_all(self.memory.get(state::HANDSHAKES))
    }

    /// Returns what all members have counted, including past ones.
    pub fn counted(&self) -> Snapshot {
        for _ in 0..MOST_READS {
            let merges = self.memory.get(state::MERGES);
            let counted = self.read_counts();
            if merges.is_multiple_of(2) && self.memory.get(state::MERGES) == merges {
                return counted;
            }
            std::thread::yield_now();
        }
        // Whoever released a member has died meanwhile, or something else has written to the word.
        self.read_counts()
    }

    fn read_counts(&self) -> Snapshot {
        let Self { memory, layout } = self;
        let members = (0..layout.members).map(|member| layout.counts(member));
        let mut counted = Snapshot::default();
        for words in members.chain([layout.past_counts()]) {
            counted += &Snapshot::read(&memory.words()[words]);
        }
        counted
    }

    fn at_most_all(&self, count: u64) -> usize {
        usize::try_from(count).map_or(self.layout.connections, |count| {
            count.min(self.layout.connections)
        })
    }
}

impl Subject for Table {
    fn generation(&self) -> u64 {
        self.memory.get(state::GENERATION)
    }

    fn lost(&self) {
        // This process and others may have written at the same time.
        self.memory.set(state::DIRTY, 1);
    }
}

impl Session<'_> {
    /// Takes up to `wanted` entries for a member that may have `capacity` of them, and adds them to `taken`.
    /// If none is free, the bell will be rung.
    pub fn take(&mut self, member: u16, wanted: usize, capacity: usize, taken: &mut Vec<u32>) {
        let had = self.table.of_slot(member, Slot::Entries);
        let wanted = wanted.min(capacity.saturating_sub(had));
        let before = taken.len();
        while taken.len() - before < wanted
            && let Some(entry) = self.pop()
        {
            self.set_owner(entry, owner(member));
            taken.push(entry as u32);
        }
        let count = taken.len() - before;
        if count > 0 {
            self.set_slot(member, Slot::Entries, had + count);
        } else if wanted > 0 {
            self.wait_for(Awaited::Permits);
        }
    }

    /// Turns a permit into a connection. Returns its number.
    pub fn begin(&mut self, member: u16, entry: u32, now: u64) -> u64 {
        let memory = &self.table.memory;
        memory.set(state::LAST_BEGUN, last_begun(member, now));
        let number = memory.add(state::NUMBER, 1).wrapping_add(1);
        let counts = self.table.layout.counts(member);
        memory.add(counts.start + Count::Begun as usize, 1);
        let entry = entry as usize;
        let word = self.owner(entry);
        if word & MEMBER == owner(member) && word & CONNECTION == 0 {
            self.set_owner(entry, word | CONNECTION);
            self.set_slot(member, Slot::Open, self.table.open_of(member) + 1);
            memory.set(state::OPEN, self.table.open() as u64 + 1);
        }
        number
    }

    /// Frees entries of a member.
    pub fn free(&mut self, member: u16, entries: &[u32], now: u64) -> Ring {
        let mut ended = 0;
        let mut freed = 0;
        for entry in entries.iter().map(|entry| *entry as usize) {
            let word = self.owner(entry);
            if word & MEMBER != owner(member) {
                continue;
            }
            self.set_owner(entry, 0);
            self.take_off(entry, word);
            ended += usize::from(word & CONNECTION != 0);
            freed += 1;
            self.push(entry);
        }
        let table = self.table;
        let left = table.of_slot(member, Slot::Entries).saturating_sub(freed);
        self.set_slot(member, Slot::Entries, left);
        if ended > 0 {
            let left = table.open_of(member).saturating_sub(ended);
            self.set_slot(member, Slot::Open, left);
            table.memory.set(state::LAST_RELEASE, now);
            let open = table.open().saturating_sub(ended);
            table.memory.set(state::OPEN, open as u64);
        }
        self.ring_for(Awaited::Permits)
    }

    /// Takes up to `wanted` tokens. If there is none, returns when there will be one; the bell will be rung
    /// if one is given back before.
    pub fn take_tokens(&mut self, rate: NonZeroU32, wanted: u32, now: u64) -> Result<u32, u64> {
        let mut bucket = read_bucket(&self.table.memory, rate, now);
        let taken = bucket.take(wanted, now);
        write_bucket(&self.table.memory, &bucket);
        if taken.is_err() {
            self.wait_for(Awaited::Tokens);
        }
        taken
    }

    pub fn give_tokens_back(&mut self, rate: NonZeroU32, count: u32, now: u64) -> Ring {
        let mut bucket = read_bucket(&self.table.memory, rate, now);
        bucket.give_back(count);
        write_bucket(&self.table.memory, &bucket);
        self.ring_for(Awaited::Tokens)
    }

    fn wait_for(&mut self, what: Awaited) {
        let memory = &self.table.memory;
        memory.set(state::WAITING, memory.get(state::WAITING) | what as u64);
    }

    fn ring_for(&mut self, what: Awaited) -> Ring {
        let memory = &self.table.memory;
        let waiting = memory.get(state::WAITING);
        let rings = waiting & what as u64 != 0;
        if rings {
            memory.set(state::WAITING, 0);
        }
        Ring(rings)
    }

    /// Records that the lock was taken away from a member that is not known to be gone. It has to be killed:
    /// if it continued, it would not know that it has lost the lock.
    fn record_loss(&mut self, previous: Holder, gone: Option<u16>) {
        let member = previous.as_member(self.table.layout.members);
        if let Some(member) = member.filter(|member| Some(*member) != gone) {
            self.set_slot(member, Slot::LockLost, 1);
        }
    }

    fn release(&mut self, member: u16, now: u64) -> usize {
        let mut ended = 0;
        for entry in 0..self.table.layout.connections {
            let word = self.owner(entry);
            if word & MEMBER == owner(member) {
                ended += usize::from(word & CONNECTION != 0);
                self.set_owner(entry, 0);
            }
        }
        if ended > 0 {
            self.table.memory.set(state::LAST_RELEASE, now);
        }
        self.add_to_past(member);
        for word in [Slot::Accepting, Slot::LockLost, Slot::Process] {
            self.set_slot(member, word, 0);
        }
        self.rebuild();
        ended
    }

    /// Adds the counts of a member to those of past members, and ends what it had.
    fn add_to_past(&mut self, member: u16) {
        let Table { memory, layout } = self.table;
        let mut counted = Snapshot::read(&memory.words()[layout.counts(member)]);
        counted.end_all();
        memory.add(state::MERGES, 1);
        for (word, more) in layout.past_counts().zip(counted.values()) {
            memory.add(word, *more);
        }
        for word in layout.counts(member) {
            memory.set(word, 0);
        }
        memory.add(state::MERGES, 1);
    }

    /// Rebuilds all that is derived from the entries.
    fn rebuild(&mut self) {
        let Table { memory, layout } = self.table;
        memory.set(state::DIRTY, 0);
        let peers = Peers::of(self.table);
        peers.clear();
        let mut of_members = vec![(0, 0); layout.members.into()];
        let (mut free, mut open, mut handshakes) = (0, 0, 0);
        // In reverse order, so that the first one is taken first.
        for entry in (0..layout.connections).rev() {
            let word = self.owner(entry);
            let number = (word & MEMBER).checked_sub(1).map(|number| number as usize);
            let Some((entries, connections)) = number.and_then(|number| of_members.get_mut(number))
            else {
                self.set_owner(entry, 0);
                memory.set(layout.free(free), entry as u64);
                free += 1;
                continue;
            };
            let is_open = usize::from(word & CONNECTION != 0);
            *entries += 1;
            *connections += is_open;
            open += is_open;
            handshakes += u64::from(word & HANDSHAKE != 0);
            for what in counted(word) {
                peers.add(self.peer(entry), what);
            }
        }
        memory.set(state::FREE, free as u64);
        memory.set(state::HANDSHAKES, handshakes);
        memory.set(state::OPEN, open as u64);
        for (member, (entries, connections)) in (0..).zip(of_members) {
            self.set_slot(member, Slot::Entries, entries);
            self.set_slot(member, Slot::Open, connections);
        }
    }

    /// Takes an entry off the list of free ones.
    fn pop(&mut self) -> Option<usize> {
        // Once more after a rebuild, if the list is damaged.
        for _ in 0..2 {
            let Table { memory, layout } = self.table;
            let free = memory.get(state::FREE);
            let last = usize::try_from(free).ok()?.checked_sub(1)?;
            if last < layout.connections {
                let entry = memory.get(layout.free(last));
                if let Ok(entry) = usize::try_from(entry)
                    && entry < layout.connections
                    && self.owner(entry) == 0
                {
                    memory.set(state::FREE, last as u64);
                    return Some(entry);
                }
            }
            self.rebuild();
        }
        None
    }

    fn push(&mut self, entry: usize) {
        let Table { memory, layout } = self.table;
        match usize::try_from(memory.get(state::FREE)) {
            Ok(free) if free < layout.connections => {
                memory.set(layout.free(free), entry as u64);
                memory.set(state::FREE, free as u64 + 1);
            }
            _ => self.rebuild(),
        }
    }

    fn owner(&self, entry: usize) -> u64 {
        let Table { memory, layout } = self.table;
        memory.get(layout.entry(entry, Entry::Owner))
    }

    fn set_owner(&mut self, entry: usize, owner: u64) {
        let Table { memory, layout } = self.table;
        memory.set(layout.entry(entry, Entry::Owner), owner);
    }

    fn peer(&self, entry: usize) -> u128 {
        let Table { memory, layout } = self.table;
        let half = |word| u128::from(memory.get(layout.entry(entry, word)));
        half(Entry::PeerHigh) << 64 | half(Entry::PeerLow)
    }

    fn set_peer(&mut self, entry: usize, peer: u128) {
        let Table { memory, layout } = self.table;
        memory.set(layout.entry(entry, Entry::PeerHigh), (peer >> 64) as u64);
        memory.set(layout.entry(entry, Entry::PeerLow), peer as u64);
    }

    fn set_slot(&mut self, member: u16, word: Slot, value: usize) {
        let Table { memory, layout } = self.table;
        memory.set(layout.slot(member, word), value as u64);
    }
}

fn owner(member: u16) -> u64 {
    u64::from(member) + 1
}

fn read_bucket(memory: &Memory, rate: NonZeroU32, now: u64) -> Bucket {
    let [as_of, level] = state::BUCKET.map(|word| memory.get(word));
    // It cannot be later than now, whatever is written there.
    Bucket::restored(rate, rate, [as_of.min(now), level])
}

fn write_bucket(memory: &Memory, bucket: &Bucket) {
    for (word, value) in state::BUCKET.into_iter().zip(bucket.state()) {
        memory.set(word, value);
    }
}
