//! The words in which a process counts: where each is, and what a set of them says.
//!
//! Only the process itself writes them, and they only grow, so that the sums of several processes are meaningful at
//! any instant. What there is at a time is the difference of two counts.

use super::EndCause;
use super::timing::{BUCKETS, Timing};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many words there are.
pub(crate) const WORDS: usize = TIMINGS + TIMING * Timing::ALL.len();

/// Where the ends of connections are, by cause, and where the timings are.
const ENDS: usize = Count::ALL.len();
const TIMINGS: usize = ENDS + EndCause::ALL.len();

/// The words of a timing: its buckets, the last of which has no bound, and the sum in nanoseconds.
const TIMING: usize = BUCKETS + 2;

/// What is counted, besides the ends of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    /// Connections that have begun.
    Begun,
    /// Connections that were reset by their listener and never began.
    Denied,
    /// Bytes of connections.
    Received,
    Sent,
    /// Connections that have waited for a rate.
    Throttled,
    /// How long they did, in nanoseconds: to receive, and to send.
    ThrottledReceiving,
    ThrottledSending,
    /// Instances that were created, and those that have ended.
    Created,
    Dropped,
    /// Instances that were ready before there was a connection for them.
    Ahead,
    /// Connections whose instance had another one before.
    Reused,
    /// The CPU time of guests, in nanoseconds.
    CpuTime,
    /// How many times guests went to the background.
    Moves,
    /// The memory that guests were given, and what they gave back, in bytes.
    Grown,
    Freed,
    /// Errors of accept: no descriptor was left, no memory, and others.
    AcceptDescriptors,
    AcceptMemory,
    AcceptOther,
}

impl Count {
    pub const ALL: [Self; 18] = [
        Self::Begun,
        Self::Denied,
        Self::Received,
        Self::Sent,
        Self::Throttled,
        Self::ThrottledReceiving,
        Self::ThrottledSending,
        Self::Created,
        Self::Dropped,
        Self::Ahead,
        Self::Reused,
        Self::CpuTime,
        Self::Moves,
        Self::Grown,
        Self::Freed,
        Self::AcceptDescriptors,
        Self::AcceptMemory,
        Self::AcceptOther,
    ];
}

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(usize);

impl Word {
    pub const fn of(count: Count) -> Self {
        Self(count as usize)
    }

    pub fn end(cause: EndCause) -> Self {
        Self(ENDS + cause.index())
    }

    /// Returns the bucket of this duration, in nanoseconds.
    pub fn bucket(timing: Timing, nanoseconds: u64) -> Self {
        let bounds = timing.bounds().iter();
        let bucket = bounds.take_while(|bound| **bound < nanoseconds).count();
        Self(TIMINGS + TIMING * timing as usize + bucket)
    }

    pub fn sum(timing: Timing) -> Self {
        Self(TIMINGS + TIMING * timing as usize + TIMING - 1)
    }

    pub fn index(self) -> usize {
        self.0
    }
}

/// The values of all words: of one process, or of several together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(Vec<u64>);

impl Snapshot {
    /// Reads the words, of which there are [`WORDS`].
    pub fn read(words: &[AtomicU64]) -> Self {
        let values = words.iter().map(|word| word.load(Ordering::Relaxed));
        Self(values.collect())
    }

    pub fn count(&self, count: Count) -> u64 {
        self.get(Word::of(count))
    }

    /// Returns how many connections have ended for this reason.
    pub fn ended(&self, cause: EndCause) -> u64 {
        self.get(Word::end(cause))
    }

    /// Returns how many connections have begun and not ended.
    #[cfg(any(test, unix, feature = "metrics"))]
    pub fn open(&self) -> u64 {
        let ended = EndCause::ALL.iter().map(|cause| self.ended(*cause));
        let ended = ended.fold(0, u64::wrapping_add);
        self.count(Count::Begun).saturating_sub(ended)
    }

    /// Returns how much there is now of what this counts, as far as the other one does not count its end.
    #[cfg(any(test, feature = "metrics"))]
    pub fn left(&self, begun: Count, ended: Count) -> u64 {
        self.count(begun).saturating_sub(self.count(ended))
    }

    /// Returns the buckets of a timing, and the sum in nanoseconds.
    #[cfg(any(test, feature = "metrics"))]
    pub fn timing(&self, timing: Timing) -> (&[u64], u64) {
        let first = Word::bucket(timing, 0).0;
        (&self.0[first..][..=BUCKETS], self.get(Word::sum(timing)))
    }

    /// Ends what the process has left open, which has died.
    #[cfg(any(test, unix))]
    pub fn end_all(&mut self) {
        let died = Word::end(EndCause::WorkerDied);
        self.0[died.0] = self.get(died).wrapping_add(self.open());
        for (begun, ended) in [
            (Count::Created, Count::Dropped),
            (Count::Grown, Count::Freed),
        ] {
            self.0[Word::of(ended).0] = self.count(begun);
        }
    }

    #[cfg(unix)]
    pub fn values(&self) -> &[u64] {
        &self.0
    }

    fn get(&self, word: Word) -> u64 {
        self.0[word.0]
    }
}

/// Nothing was counted.
impl Default for Snapshot {
    fn default() -> Self {
        Self(vec![0; WORDS])
    }
}

impl AddAssign<&Self> for Snapshot {
    fn add_assign(&mut self, other: &Self) {
        for (value, more) in self.0.iter_mut().zip(&other.0) {
            *value = value.wrapping_add(*more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_share_a_word() {
        let counts = Count::ALL.into_iter().map(Word::of);
        let ends = EndCause::ALL.into_iter().map(Word::end);
        let timings = Timing::ALL.into_iter().flat_map(|timing| {
            let bounds = timing.bounds().iter().copied().chain([u64::MAX]);
            let buckets = bounds.map(move |bound| Word::bucket(timing, bound));
            buckets.chain([Word::sum(timing)])
        });
        let all: Vec<_> = counts.chain(ends).chain(timings).map(Word::index).collect();
        let different: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!(different, (0..WORDS).collect());
        assert_eq!(all.len(), WORDS);
    }

    #[test]
    fn a_bucket_has_what_is_no_more_than_its_bound() {
        for timing in Timing::ALL {
            let first = Word::bucket(timing, 0).0;
            for (index, bound) in timing.bounds().iter().enumerate() {
                assert_eq!(Word::bucket(timing, *bound).0, first + index);
                assert_eq!(Word::bucket(timing, bound + 1).0, first + index + 1);
            }
        }
    }

    #[test]
    fn what_a_process_left_open_has_ended_with_it() {
        let mut snapshot = Snapshot::default();
        let mut set = |word: Word, value| snapshot.0[word.0] = value;
        set(Word::of(Count::Begun), 5);
        set(Word::end(EndCause::Done), 1);
        set(Word::end(EndCause::Trap), 2);
        set(Word::of(Count::Created), 4);
        set(Word::of(Count::Dropped), 1);
        set(Word::of(Count::Grown), 100);
        assert_eq!(snapshot.open(), 2);
        assert_eq!(snapshot.left(Count::Created, Count::Dropped), 3);
        snapshot.end_all();
        assert_eq!(snapshot.open(), 0);
        assert_eq!(snapshot.ended(EndCause::WorkerDied), 2);
        assert_eq!(snapshot.left(Count::Created, Count::Dropped), 0);
        assert_eq!(snapshot.left(Count::Grown, Count::Freed), 0);
        assert_eq!(snapshot.count(Count::Created), 4);
    }

    /// Another process may have written anything.
    #[test]
    fn no_value_is_too_much() {
        let mut snapshot = Snapshot(vec![u64::MAX; WORDS]);
        let other = snapshot.clone();
        snapshot.end_all();
        snapshot += &other;
        assert_eq!(snapshot.timing(Timing::Duration).0.len(), BUCKETS + 1);
        snapshot.open();
    }
}
