//! A token bucket.

use std::num::NonZeroU32;

/// The units of one token. One unit per nanosecond is added for each token per second, so that every rate
/// of whole tokens per second is exact.
const TOKEN: u64 = 1_000_000_000;

/// The tokens and the time as of which they are counted, in nanoseconds of any clock. It reads no clock.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub per_second: NonZeroU32,
    /// The most units that are kept.
    limit: u64,
    level: u64,
    as_of: u64,
}

impl Bucket {
    /// Returns a full bucket.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32, now: u64) -> Self {
        let limit = u64::from(burst.get()) * TOKEN;
        Self {
            per_second,
            limit,
            level: limit,
            as_of: now,
        }
    }

    /// Returns the bucket that had this [`state`](Self::state).
    pub fn restored(per_second: NonZeroU32, burst: NonZeroU32, [as_of, level]: [u64; 2]) -> Self {
        let full = Self::new(per_second, burst, as_of);
        Self {
            level: level.min(full.limit),
            ..full
        }
    }

    /// Returns what changes: the time, and the level at that time.
    pub fn state(&self) -> [u64; 2] {
        [self.as_of, self.level]
    }

    /// Takes up to `wanted` tokens. If there is none, returns when there will be one.
    pub fn take(&mut self, wanted: u32, now: u64) -> Result<u32, u64> {
        self.refill(now);
        let taken = (self.level / TOKEN).min(u64::from(wanted));
        if taken == 0 {
            let missing = TOKEN.saturating_sub(self.level);
            let wait = missing.div_ceil(u64::from(self.per_second.get()));
            return Err(now.saturating_add(wait));
        }
        self.level -= taken * TOKEN;
        // Never more than was wanted.
        Ok(taken as u32)
    }

    /// Takes so many tokens, or none if there are fewer. Returns whether it has.
    pub fn take_all(&mut self, wanted: u32, now: u64) -> bool {
        self.refill(now);
        let left = self.level.checked_sub(u64::from(wanted) * TOKEN);
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }

    /// Gives back tokens that were not used.
    pub fn give_back(&mut self, count: u32) {
        self.add(u64::from(count) * TOKEN);
    }

    fn refill(&mut self, now: u64) {
        let passed = u128::from(now.saturating_sub(self.as_of));
        let came = passed.saturating_mul(u128::from(self.per_second.get()));
        self.add(u64::try_from(came).unwrap_or(u64::MAX));
        self.as_of = now.max(self.as_of);
    }

    fn add(&mut self, amount: u64) {
        self.level = self.level.saturating_add(amount).min(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 7_000_000_000;

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("not 0")
    }

    fn millis(millis: u64) -> u64 {
        millis * 1_000_000
    }

    #[test]
    fn a_bucket_is_full_at_first_and_then_gets_its_rate() {
        let start = START;
        let mut bucket = Bucket::new(count(10), count(3), start);
        assert_eq!(bucket.take(2, start), Ok(2));
        assert_eq!(bucket.take(2, start), Ok(1));
        assert_eq!(bucket.take(2, start), Err(start + millis(100)));
        let almost = start + millis(99);
        assert_eq!(bucket.take(2, almost), Err(start + millis(100)));
        assert_eq!(bucket.take(2, start + millis(100)), Ok(1));
        assert_eq!(bucket.take(9, start + millis(350)), Ok(2));
        // The half token was kept.
        let next = Err(start + millis(400));
        assert_eq!(bucket.take(1, start + millis(350)), next);
    }

    #[test]
    fn all_or_nothing_is_taken() {
        let start = START;
        let mut bucket = Bucket::new(count(10), count(3), start);
        assert!(!bucket.take_all(4, start));
        assert!(bucket.take_all(3, start));
        assert!(bucket.take_all(0, start));
        assert!(!bucket.take_all(1, start + millis(99)));
        assert!(bucket.take_all(1, start + millis(100)));
    }

    #[test]
    fn no_more_is_kept_than_a_burst() {
        let start = START;
        let mut bucket = Bucket::new(count(1_000), count(5), start);
        let late = u64::MAX;
        assert_eq!(bucket.take(64, late), Ok(5));
        bucket.give_back(64);
        assert_eq!(bucket.take(64, late), Ok(5));
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let start = START;
        let mut bucket = Bucket::new(count(1), count(4), start);
        assert_eq!(bucket.take(4, start), Ok(4));
        bucket.give_back(3);
        assert_eq!(bucket.take(64, start), Ok(3));
        assert!(bucket.take(1, start).is_err());
    }

    #[test]
    fn in_any_time_no_more_come_than_the_rate_and_a_burst() {
        let start = START;
        for rate in [1, 3, 7, 1_000, 999_983, u32::MAX] {
            let mut bucket = Bucket::new(count(rate), count(5), start);
            let mut now = start;
            let mut taken = 0;
            for _ in 0..1_000 {
                match bucket.take(1, now) {
                    Ok(one) => taken += u128::from(one),
                    // A token is added after one token's time at most.
                    Err(next) => now = next,
                }
            }
            assert!(taken >= 500, "{rate}: {taken}");
            let passed = u128::from(now - start);
            let allowed = 5 + passed * u128::from(rate) / u128::from(TOKEN);
            assert!(taken <= allowed, "{rate}: {taken} of {allowed}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing() {
        let start = START;
        let later = start + millis(1_000);
        let mut bucket = Bucket::new(count(1), count(1), later);
        assert_eq!(bucket.take(1, later), Ok(1));
        assert!(bucket.take(1, start).is_err());
        assert!(bucket.take(1, later + millis(999)).is_err());
        assert_eq!(bucket.take(1, later + millis(1_000)), Ok(1));
    }
}
