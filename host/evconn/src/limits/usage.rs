//! What peers have used of the processors: a table of a fixed size, which threads and processes share without a
//! lock.
//!
//! A peer has a place in one of several sets. If a set is full, the peer that has used least loses its place: who
//! has used a lot cannot hide behind many others. Whatever is in the memory, each call visits one set, or each
//! place once.

use super::decay::Decaying;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of sets, and of places in each.
const SETS: usize = 256;
const PLACES: usize = 8;

/// A place has two words: a hash of the peer, and what it has used.
const PLACE: usize = 2;

/// For how long after its last charge, of whatever amount, a peer counts as active, in milliseconds.
const ACTIVE: u32 = 250;

/// A view of the table: these words, which are 0 at first.
#[derive(Clone, Copy)]
pub(crate) struct UsageTable<'a>(&'a [AtomicU64]);

impl<'a> UsageTable<'a> {
    /// The number of its words.
    pub const WORDS: usize = SETS * PLACES * PLACE;

    /// Returns `None` if these are not as many words.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        (words.len() == Self::WORDS).then_some(Self(words))
    }

    /// Adds CPU time to what a peer has used, in microseconds. `peer` is a hash that no peer can choose.
    pub fn charge(self, peer: u64, time: u32, now: u32) {
        let place = self.find(peer).unwrap_or_else(|| self.claim(peer, now));
        let used = &place[1];
        // A charge that another thread overtakes is tried again; there is always one that succeeds.
        let _ = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(Decaying::from_word(word).plus(time, now).word())
        });
    }

    /// Returns what a peer has used.
    pub fn used(self, peer: u64, now: u32) -> u32 {
        self.find(peer).map_or(0, |place| used(place, now))
    }

    /// Returns what the peer has used that has used least of those who are active.
    pub fn least(self, now: u32) -> Option<u32> {
        let places = self.0.chunks_exact(PLACE);
        let taken = places.filter(|place| place[0].load(Ordering::Acquire) != 0);
        let all = taken.map(|place| Decaying::from_word(place[1].load(Ordering::Acquire)));
        let active = all.filter(|used| used.age(now) < ACTIVE);
        active.map(|used| used.at(now)).min()
    }

    fn find(self, peer: u64) -> Option<&'a [AtomicU64]> {
        let is_of_peer = |place: &&[AtomicU64]| place[0].load(Ordering::Acquire) == tag(peer);
        self.set(peer).find(is_of_peer)
    }

    /// Takes the place of the peer that has used least. If two processes do this at the same time, something may be
    /// forgotten.
    fn claim(self, peer: u64, now: u32) -> &'a [AtomicU64] {
        let least = self.set(peer).min_by_key(|place| used(place, now));
        let place = least.unwrap_or_default();
        place[1].store(Decaying::new(0, now).word(), Ordering::Release);
        place[0].store(tag(peer), Ordering::Release);
        place
    }

    fn set(self, peer: u64) -> impl Iterator<Item = &'a [AtomicU64]> {
        let size = PLACES * PLACE;
        let first = peer as usize % SETS * size;
        self.0[first..first + size].chunks_exact(PLACE)
    }
}

/// 0 means that the place is free.
fn tag(peer: u64) -> u64 {
    peer.max(1)
}

fn used(place: &[AtomicU64], now: u32) -> u32 {
    Decaying::from_word(place[1].load(Ordering::Acquire)).at(now)
}

#[cfg(test)]
mod tests {
    use super::super::decay::HALF_LIFE;
    use super::*;

    fn words() -> Vec<AtomicU64> {
        (0..UsageTable::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn each_peer_has_what_it_has_used() {
        let words = words();
        let table = UsageTable::new(&words).expect("as many words");
        table.charge(7, 1_000, 0);
        table.charge(7, 1_000, 0);
        table.charge(8, 400, 0);
        assert_eq!([7, 8, 9].map(|peer| table.used(peer, 0)), [2_000, 400, 0]);
        assert_eq!(table.used(7, HALF_LIFE), 1_000);
        assert_eq!(table.least(0), Some(400));
        table.charge(9, 0, ACTIVE - 1);
        assert_eq!(table.least(ACTIVE - 1), Some(0));
        table.charge(7, 0, ACTIVE);
        assert_eq!(table.least(ACTIVE), Some(0));
        // Who has done nothing for long is not active.
        table.charge(7, 0, 2 * ACTIVE - 1);
        assert!(table.least(2 * ACTIVE - 1).is_some_and(|least| least > 0));
        assert_eq!(table.least(3 * ACTIVE - 1), None);
    }

    #[test]
    fn who_has_used_a_lot_keeps_its_place() {
        let words = words();
        let table = UsageTable::new(&words).expect("as many words");
        table.charge(3, 1_000_000, 0);
        let of_same_set = |index: usize| (3 + index * SETS) as u64;
        for index in 1..1_000 {
            table.charge(of_same_set(index), 100, 0);
        }
        assert_eq!(table.used(3, 0), 1_000_000);
        assert_eq!(table.used(of_same_set(999), 0), 100);
        assert_eq!(table.used(of_same_set(1), 0), 0);
    }

    #[test]
    fn whatever_is_in_the_memory_calls_return() {
        let words = words();
        for (index, word) in (0..).zip(&words) {
            word.store(u64::MAX / (index + 1), Ordering::Relaxed);
        }
        let table = UsageTable::new(&words).expect("as many words");
        for peer in [0, 1, u64::MAX] {
            table.charge(peer, u32::MAX, u32::MAX);
            assert!(table.used(peer, u32::MAX) > 0);
        }
        assert!(table.least(0).is_some());
        assert!(UsageTable::new(&words[1..]).is_none());
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let words = words();
        let table = UsageTable::new(&words).expect("as many words");
        table.charge(1, 0, 0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| table.charge(1, 10, 0)));
            }
        });
        assert_eq!(table.used(1, 0), 40_000);
    }
}
