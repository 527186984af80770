//! Where a process counts.

use super::words::{Count, Snapshot, WORDS, Word};
use super::{EndCause, Timing};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The memory of the words of a process: its own, or memory that others read, too.
pub(crate) trait Words: Send + Sync {
    /// Returns the words, of which there are [`WORDS`].
    fn words(&self) -> &[AtomicU64];
}

/// Counts what a process does. Clones are the same.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<dyn Words>);

struct Own(Box<[AtomicU64]>);

impl Words for Own {
    fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// One that counts for this process alone.
impl Default for Recorder {
    fn default() -> Self {
        Self::new(Own((0..WORDS).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Recorder {
    pub fn new(words: impl Words + 'static) -> Self {
        Self(Arc::new(words))
    }

    /// Adds to a count. Returns its previous value.
    pub fn add(&self, count: Count, more: u64) -> u64 {
        self.add_to(Word::of(count), more)
    }

    pub fn get(&self, count: Count) -> u64 {
        let word = Word::of(count).index();
        self.0.words()[word].load(Ordering::Relaxed)
    }

    /// Counts the end of a connection.
    pub fn end(&self, cause: EndCause) {
        self.add_to(Word::end(cause), 1);
    }

    pub fn time(&self, timing: Timing, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.add_to(Word::bucket(timing, nanoseconds), 1);
        self.add_to(Word::sum(timing), nanoseconds);
    }

    /// Counts an instance that was created, until the returned value is dropped.
    pub fn instance(&self) -> OpenInstance {
        self.add(Count::Created, 1);
        OpenInstance(self.clone())
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::read(self.0.words())
    }

    fn add_to(&self, word: Word, more: u64) -> u64 {
        self.0.words()[word.index()].fetch_add(more, Ordering::Relaxed)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// An instance that exists.
pub(crate) struct OpenInstance(Recorder);

impl Drop for OpenInstance {
    fn drop(&mut self) {
        self.0.add(Count::Dropped, 1);
    }
}

/// The memory that an instance was given.
#[derive(Debug)]
pub(crate) struct GuestMemory {
    recorder: Recorder,
    bytes: u64,
}

impl GuestMemory {
    pub fn new(recorder: &Recorder) -> Self {
        Self {
            recorder: recorder.clone(),
            bytes: 0,
        }
    }

    pub fn grow(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.recorder.add(Count::Grown, bytes as u64);
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        self.recorder.add(Count::Freed, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_its_bucket_and_in_the_sum() {
        let recorder = Recorder::default();
        recorder.time(Timing::LoopLag, Duration::from_millis(3));
        recorder.time(Timing::LoopLag, Duration::from_secs(100));
        let snapshot = recorder.snapshot();
        let (buckets, sum) = snapshot.timing(Timing::LoopLag);
        let filled: Vec<_> = (0..)
            .zip(buckets)
            .filter(|(_, count)| **count > 0)
            .collect();
        assert_eq!(filled, [(2, &1), (12, &1)]);
        assert_eq!(sum, 100_003_000_000);
        assert_eq!(snapshot.timing(Timing::PermitWait).1, 0);
    }

    #[test]
    fn what_an_instance_has_counts_until_its_end() {
        let recorder = Recorder::default();
        let left = || {
            let snapshot = recorder.snapshot();
            let instances = snapshot.left(Count::Created, Count::Dropped);
            (instances, snapshot.left(Count::Grown, Count::Freed))
        };
        let instance = recorder.instance();
        let mut memory = GuestMemory::new(&recorder);
        memory.grow(100);
        memory.grow(20);
        assert_eq!(left(), (1, 120));
        drop((instance, memory));
        assert_eq!(left(), (0, 0));
    }
}
