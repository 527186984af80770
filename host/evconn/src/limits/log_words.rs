//! How much connections have logged: words in the memory of a process, or in that of several processes.
//!
//! They are used by one process at a time. Zeros are valid: nothing was logged yet. So is anything else.

use super::Bucket;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many buckets the peers have. Peers with the same bucket share what each may log: 256 make that unlikely for
/// the few that log at a time.
pub(crate) const PEER_BUCKETS: usize = 256;

/// When the last refused connection was logged, and how many were not logged since then.
const REFUSED_AT: usize = 0;
const NOT_LOGGED: usize = 1;

/// The bucket of all peers together. Those of the peers follow. Each is its time and its level.
const ALL: usize = 2;

/// The time between lines about refused connections, in nanoseconds.
const REFUSED_EVERY: u64 = 1_000_000_000;

/// How many seconds' worth of bytes may be logged at once.
const BURST: u32 = 2;

/// The words and the time of a clock that all users of the words share, in nanoseconds.
pub(crate) struct LogWords<'a> {
    pub words: &'a [AtomicU64],
    pub now: u64,
}

impl LogWords<'_> {
    /// How many words there are.
    pub const COUNT: usize = ALL + 2 + 2 * PEER_BUCKETS;

    /// Returns the most bytes that a line costs. A longer one is logged when nothing else was.
    pub fn most(per_second: NonZeroU32) -> usize {
        let [(_, of_peer), _] = places(0, per_second);
        burst(of_peer).get() as usize
    }

    /// Takes so many bytes from what all peers together may log per second, and from what this one may, which is
    /// half of it. Returns false, and takes nothing, if either has not as many left.
    pub fn take(&self, peer: usize, bytes: usize, per_second: NonZeroU32) -> bool {
        let places = places(peer, per_second);
        let mut buckets = places.map(|(place, rate)| self.bucket(place, rate));
        let bytes = bytes.min(Self::most(per_second));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut buckets_mut = buckets.iter_mut();
        let taken = buckets_mut.all(|bucket| bucket.take_all(bytes, self.now));
        if taken {
            for ((place, _), bucket) in places.iter().zip(&buckets) {
                self.keep(*place, bucket);
            }
        }
        taken
    }

    /// Gives bytes back that were taken and not used.
    pub fn give_back(&self, peer: usize, bytes: usize, per_second: NonZeroU32) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        for (place, rate) in places(peer, per_second) {
            let mut bucket = self.bucket(place, rate);
            bucket.give_back(bytes);
            self.keep(place, &bucket);
        }
    }

    /// Returns whether a refused connection may be logged: how many were not since the last one that was. Otherwise
    /// counts it.
    pub fn refuse(&self) -> Option<u64> {
        if self.is_refusal_due() {
            self.set(REFUSED_AT, self.now);
            return Some(self.replace(NOT_LOGGED, 0));
        }
        self.set(NOT_LOGGED, self.get(NOT_LOGGED).saturating_add(1));
        None
    }

    /// Returns how many refused connections were not logged, if there are any and this may be logged now: at the end
    /// of a process always.
    pub fn take_not_logged(&self, is_end: bool) -> Option<u64> {
        if self.get(NOT_LOGGED) == 0 || !is_end && !self.is_refusal_due() {
            return None;
        }
        self.set(REFUSED_AT, self.now);
        Some(self.replace(NOT_LOGGED, 0))
    }

    fn is_refusal_due(&self) -> bool {
        let then = self.get(REFUSED_AT);
        // A time in the future was not written by this code.
        then == 0 || then > self.now || self.now - then >= REFUSED_EVERY
    }

    fn bucket(&self, place: usize, per_second: NonZeroU32) -> Bucket {
        let [as_of, level] = [place, place + 1].map(|word| self.get(word));
        let burst = burst(per_second);
        match as_of {
            0 => Bucket::new(per_second, burst, self.now),
            as_of => Bucket::restored(per_second, burst, [as_of.min(self.now), level]),
        }
    }

    fn keep(&self, place: usize, bucket: &Bucket) {
        for (word, value) in (place..).zip(bucket.state()) {
            self.set(word, value);
        }
    }

    fn get(&self, word: usize) -> u64 {
        self.words[word].load(Ordering::Relaxed)
    }

    fn set(&self, word: usize, value: u64) {
        self.words[word].store(value, Ordering::Relaxed);
    }

    fn replace(&self, word: usize, value: u64) -> u64 {
        let old = self.get(word);
        self.set(word, value);
        old
    }
}

/// Where the buckets of a peer and of all peers are, and their rates.
fn places(peer: usize, per_second: NonZeroU32) -> [(usize, NonZeroU32); 2] {
    let half = NonZeroU32::new(per_second.get() / 2).unwrap_or(NonZeroU32::MIN);
    let of_peer = ALL + 2 + 2 * (peer % PEER_BUCKETS);
    [(of_peer, half), (ALL, per_second)]
}

fn burst(per_second: NonZeroU32) -> NonZeroU32 {
    per_second.saturating_mul(NonZeroU32::new(BURST).unwrap_or(NonZeroU32::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 5 * SECOND;

    struct Words(Vec<AtomicU64>);

    impl Words {
        fn new() -> Self {
            Self((0..LogWords::COUNT).map(|_| AtomicU64::new(0)).collect())
        }

        fn at(&self, now: u64) -> LogWords<'_> {
            LogWords {
                words: &self.0,
                now,
            }
        }

        /// How many bytes this peer may log, in lines of 10 bytes.
        fn take_all(&self, now: u64, peer: usize) -> usize {
            let rate = NonZeroU32::new(1_000).expect("not 0");
            let lines = (0..).take_while(|_| self.at(now).take(peer, 10, rate));
            10 * lines.count()
        }
    }

    #[test]
    fn a_peer_may_log_half_of_what_all_may() {
        let words = Words::new();
        assert_eq!(words.take_all(START, 1), 1_000);
        assert_eq!(words.take_all(START, 2), 1_000);
        assert_eq!(words.take_all(START, 3), 0);
        assert_eq!(words.take_all(START + SECOND, 1), 500);
        // The other half.
        assert_eq!(words.take_all(START + SECOND, 3), 500);
    }

    #[test]
    fn what_a_peer_may_not_log_is_not_taken_from_others() {
        let words = Words::new();
        words.take_all(START, 1);
        for _ in 0..1_000 {
            assert_eq!(words.take_all(START, 1), 0);
        }
        assert_eq!(words.take_all(START, 2), 1_000);
    }

    #[test]
    fn a_long_line_is_logged_if_nothing_else_was() {
        let words = Words::new();
        let rate = NonZeroU32::new(100).expect("not 0");
        assert!(words.at(START).take(1, 1_000_000, rate));
        assert!(!words.at(START).take(1, 1, rate));
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let words = Words::new();
        words.take_all(START, 1);
        words.take_all(START, 2);
        let rate = NonZeroU32::new(1_000).expect("not 0");
        words.at(START).give_back(1, 100, rate);
        assert_eq!(words.take_all(START, 1), 100);
        assert_eq!(words.take_all(START, 1), 0);
    }

    #[test]
    fn one_refused_connection_is_logged_each_second() {
        let words = Words::new();
        assert_eq!(words.at(START).refuse(), Some(0));
        assert_eq!(words.at(START).refuse(), None);
        assert_eq!(words.at(START + SECOND / 2).refuse(), None);
        assert_eq!(words.at(START + SECOND / 2).take_not_logged(false), None);
        assert_eq!(words.at(START + SECOND).refuse(), Some(2));
        assert_eq!(words.at(START + 2 * SECOND).take_not_logged(true), None);
        assert_eq!(words.at(START + 2 * SECOND).refuse(), Some(0));
        assert_eq!(words.at(START + 2 * SECOND).refuse(), None);
        assert_eq!(words.at(START + 2 * SECOND).take_not_logged(true), Some(1));
        assert_eq!(words.at(START + 2 * SECOND).refuse(), None);
        assert_eq!(words.at(START + 9 * SECOND).take_not_logged(false), Some(1));
        assert_eq!(words.at(START + 20 * SECOND).take_not_logged(false), None);
    }

    #[test]
    fn whatever_is_in_the_words_lines_are_logged_again() {
        let words = Words::new();
        for word in &words.0 {
            word.store(u64::MAX, Ordering::Relaxed);
        }
        assert!(words.take_all(START, 1) <= 1_000);
        assert!(words.take_all(START + 10 * SECOND, 1) >= 500);
        assert!(words.at(START).refuse().is_some());
    }
}
