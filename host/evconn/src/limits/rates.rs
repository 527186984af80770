//! How far peers have used up their rates: a table of a fixed size, which threads and processes share without a lock.
//!
//! A peer has a place in one of several sets while it has used up part of a rate; after that, the place is free. If a
//! set is full, the peer loses its place that is the nearest to having nothing used up: who uses up its rate cannot hide
//! behind many others, and these keep nobody out. Whatever is in the memory, each call visits one set.

use crate::sockets::Rate;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of sets, and of places in each: 65,536 peers have 2 MiB, of which the system provides what is used.
const SETS: usize = 8_192;
const PLACES: usize = 8;

/// A place has four words: a hash of the peer, and until when each of its rates is used up.
const PLACE: usize = 4;

/// What has a rate of a peer, as the word of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rated {
    /// Connections that it opens.
    Connections = 1,
    /// Bytes of its connections.
    Received = 2,
    Sent = 3,
}

/// A view of the table: these words, which are 0 at first.
#[derive(Clone, Copy)]
pub(crate) struct RateTable<'a>(&'a [AtomicU64]);

type Place<'a> = &'a [AtomicU64];

impl<'a> RateTable<'a> {
    /// The number of its words.
    pub const WORDS: usize = SETS * PLACES * PLACE;

    /// Returns `None` if these are not as many words.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        (words.len() == Self::WORDS).then_some(Self(words))
    }

    /// Takes one if the rate permits it now. `peer` is a hash that no peer can choose, and `now` is in nanoseconds.
    pub fn take(self, peer: u64, what: Rated, rate: Rate, now: u64) -> bool {
        let take = |used_up| rate.take(used_up, now, 1);
        self.word(peer, what, now)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }

    /// Reserves so much. Returns how long to wait for it.
    pub fn reserve(self, peer: u64, what: Rated, rate: Rate, now: u64, amount: u64) -> Duration {
        let mut wait = Duration::ZERO;
        let reserve = |used_up| {
            let (end, until) = rate.reserve(used_up, now, amount);
            wait = until;
            Some(end)
        };
        // One that another thread overtakes is tried again; there is always one that succeeds.
        let _ =
            self.word(peer, what, now)
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, reserve);
        wait
    }

    /// Gives back what was reserved, if the peer still has its place.
    pub fn give_back(self, peer: u64, what: Rated, rate: Rate, amount: u64) {
        if let Some(place) = self.find(peer) {
            let give_back = |used_up| Some(rate.give_back(used_up, amount));
            let _ =
                place[what as usize].fetch_update(Ordering::AcqRel, Ordering::Acquire, give_back);
        }
    }

    fn word(self, peer: u64, what: Rated, now: u64) -> &'a AtomicU64 {
        let find_or_claim = |_| self.find(peer).or_else(|| self.claim(peer, now));
        let place = (0..PLACES).find_map(find_or_claim);
        // Others claim places as fast as this thread: one of them is charged.
        &place.unwrap_or_else(|| self.idlest(peer))[what as usize]
    }

    fn find(self, peer: u64) -> Option<Place<'a>> {
        let is_of_peer = |place: &Place<'_>| place[0].load(Ordering::Acquire) == tag(peer);
        self.set(peer).find(is_of_peer)
    }

    /// Takes a free place, or that of another peer, unless another thread is faster. If two threads do this for the same
    /// peer at the same time, what one of them charges may be forgotten.
    fn claim(self, peer: u64, now: u64) -> Option<Place<'a>> {
        let place = self.idlest(peer);
        let previous = place[0].load(Ordering::Acquire);
        place[0]
            .compare_exchange(previous, tag(peer), Ordering::AcqRel, Ordering::Acquire)
            .ok()?;
        if used_up(place) > now {
            for word in &place[1..] {
                word.store(0, Ordering::Release);
            }
        }
        Some(place)
    }

    /// Returns the place of the set that will be free first, or is.
    fn idlest(self, peer: u64) -> Place<'a> {
        let idlest = self.set(peer).min_by_key(|place| used_up(place));
        idlest.expect("a set has places")
    }

    fn set(self, peer: u64) -> impl Iterator<Item = Place<'a>> {
        let size = PLACES * PLACE;
        let first = peer as usize % SETS * size;
        self.0[first..first + size].chunks_exact(PLACE)
    }
}

/// 0 means that the place has never been taken.
fn tag(peer: u64) -> u64 {
    peer.max(1)
}

/// Returns until when a place is in use.
fn used_up(place: Place<'_>) -> u64 {
    let words = place[1..].iter().map(|word| word.load(Ordering::Acquire));
    words.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 7 * SECOND;

    fn words() -> Vec<AtomicU64> {
        (0..RateTable::WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    /// A rate that permits two at once.
    fn rate(per_second: u64) -> Rate {
        let per_second = NonZeroU64::new(per_second).expect("not 0");
        Rate::new(per_second, Duration::from_secs(1) / per_second.get() as u32)
    }

    fn takes(table: RateTable<'_>, peer: u64, now: u64) -> bool {
        table.take(peer, Rated::Connections, rate(10), now)
    }

    #[test]
    fn each_peer_has_its_rates() {
        let words = words();
        let table = RateTable::new(&words).expect("as many words");
        for peer in [7, 8] {
            assert!(takes(table, peer, START));
            assert!(takes(table, peer, START));
            assert!(!takes(table, peer, START));
        }
        assert!(takes(table, 7, START + SECOND / 10));
        assert!(!takes(table, 7, START + SECOND / 10));
        for what in [Rated::Received, Rated::Sent] {
            let reserve = |amount| table.reserve(7, what, rate(10), START, amount);
            assert_eq!(
                [1, 1, 5, 1].map(reserve).map(|wait| wait.as_millis()),
                [0, 0, 100, 600]
            );
            table.give_back(7, what, rate(10), 6);
            assert_eq!(reserve(1).as_millis(), 100);
        }
        // Nobody has to be remembered for that.
        table.give_back(9, Rated::Sent, rate(10), 1);
        assert!(table.find(9).is_none());
    }

    /// The hash of another peer of the same set.
    fn of_same_set(index: usize) -> u64 {
        (3 + index * SETS) as u64
    }

    #[test]
    fn a_place_is_free_when_its_rates_are_not_used_up() {
        let words = words();
        let table = RateTable::new(&words).expect("as many words");
        for round in 0..100 {
            let now = START + round * SECOND;
            for index in 0..PLACES {
                let peer = of_same_set(round as usize * PLACES + index);
                assert!(takes(table, peer, now) && takes(table, peer, now));
            }
            // None of them has lost its place.
            for index in 0..PLACES {
                let peer = of_same_set(round as usize * PLACES + index);
                assert!(!takes(table, peer, now));
            }
        }
    }

    #[test]
    fn many_peers_keep_nobody_out_and_who_uses_its_rate_up_keeps_its_place() {
        let words = words();
        let table = RateTable::new(&words).expect("as many words");
        while takes(table, of_same_set(0), START) {}
        for index in 1..1_000 {
            assert!(takes(table, of_same_set(index), START));
        }
        assert!(!takes(table, of_same_set(0), START));
    }

    #[test]
    fn whatever_is_in_the_memory_calls_return_and_nobody_is_kept_out_for_ever() {
        let words = words();
        for (index, word) in (0..).zip(&words) {
            word.store(u64::MAX / (index + 1), Ordering::Relaxed);
        }
        let table = RateTable::new(&words).expect("as many words");
        let hour = 3_600 * SECOND;
        for peer in [0, 1, u64::MAX, u64::MAX / 5] {
            takes(table, peer, START);
            let wait = table.reserve(peer, Rated::Sent, rate(1), START, u64::MAX);
            assert!(wait.as_nanos() <= hour.into());
            table.give_back(peer, Rated::Sent, rate(1), u64::MAX);
            assert!(takes(table, peer, START + hour));
        }
        assert!(RateTable::new(&words[1..]).is_none());
    }

    #[test]
    fn threads_take_no_more_than_the_rate_together() {
        let words = words();
        let table = RateTable::new(&words).expect("as many words");
        assert!(takes(table, 1, START));
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for step in 0..10_000 {
                        let now = START + step * SECOND / 1_000;
                        taken.fetch_add(takes(table, 1, now).into(), Ordering::Relaxed);
                    }
                });
            }
        });
        // Ten seconds at ten per second, and what may come at once, of which one had come.
        assert!(taken.into_inner() <= 101);
    }
}
