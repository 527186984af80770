//! Limits how many connections are accepted per second, with a token bucket.
//!
//! The [`acceptor`](crate::listener::acceptor) takes the tokens.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Limits how many connections are accepted per second.
///
/// It is a token bucket: each connection takes a token before it is accepted. Tokens are added at a
/// constant rate, up to a [`burst`](Self::burst). While there is no token, peers wait in the accept
/// queue; they are not refused.
///
/// Cloning is cheap. Clones share the bucket, so listeners with clones share the rate.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{AcceptRate, Host, Listener};
/// use std::num::NonZeroU32;
///
/// let count = |count| NonZeroU32::new(count).expect("not 0");
/// let rate = AcceptRate::per_second(count(100)).burst(count(500));
/// let host = Host::new()?;
/// let builder = Listener::builder(&host).accept_rate(rate);
/// let one = builder.clone().bind("127.0.0.1:0".parse()?).await?;
/// let other = builder.bind("127.0.0.1:0".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AcceptRate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bucket: Mutex<Bucket>,
    /// Notified when tokens are given back: one waiting task, or the next one that waits.
    given_back: Notify,
}

impl AcceptRate {
    /// Returns a rate of `count` connections per second, with a burst of the same size. The bucket starts
    /// full.
    pub fn per_second(count: NonZeroU32) -> Self {
        Self::with(Bucket::new(count, count, Instant::now()))
    }

    /// Sets how many connections may be accepted at once after a while without any. Defaults to as many
    /// as per second.
    ///
    /// This returns a new, full bucket, which shares nothing with clones of this one.
    pub fn burst(self, count: NonZeroU32) -> Self {
        let rate = self.bucket().per_second;
        Self::with(Bucket::new(rate, count, Instant::now()))
    }

    fn with(bucket: Bucket) -> Self {
        Self(Arc::new(Shared {
            bucket: Mutex::new(bucket),
            given_back: Notify::new(),
        }))
    }

    /// Takes up to `wanted` tokens. If there is none, returns when there will be one.
    pub(crate) fn take(&self, wanted: u32) -> Result<u32, Instant> {
        self.bucket().take(wanted, Instant::now())
    }

    /// Gives back tokens that were not used.
    pub(crate) fn give_back(&self, count: u32) {
        if count > 0 {
            self.bucket().give_back(count);
            self.0.given_back.notify_one();
        }
    }

    /// Waits until there may be a token: until this time, or until one is given back.
    pub(crate) async fn wait(&self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.0.given_back.notified() => {}
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // Nothing in there panics halfway.
        self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The units of one token. One unit per nanosecond is added for each token per second, so that every rate
/// of whole tokens per second is exact.
const TOKEN: u64 = 1_000_000_000;

/// The tokens and the time as of which they are counted. It reads no clock.
#[derive(Debug)]
struct Bucket {
    per_second: NonZeroU32,
    /// The most units that are kept.
    limit: u64,
    level: u64,
    as_of: Instant,
}

impl Bucket {
    fn new(per_second: NonZeroU32, burst: NonZeroU32, now: Instant) -> Self {
        let limit = u64::from(burst.get()) * TOKEN;
        Self {
            per_second,
            limit,
            level: limit,
            as_of: now,
        }
    }

    fn take(&mut self, wanted: u32, now: Instant) -> Result<u32, Instant> {
        self.refill(now);
        let taken = (self.level / TOKEN).min(u64::from(wanted));
        if taken == 0 {
            let missing = TOKEN.saturating_sub(self.level);
            let wait = missing.div_ceil(u64::from(self.per_second.get()));
            return Err(now + Duration::from_nanos(wait));
        }
        self.level -= taken * TOKEN;
        // Never more than was wanted.
        Ok(taken as u32)
    }

    fn give_back(&mut self, count: u32) {
        self.add(u64::from(count) * TOKEN);
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.as_of).as_nanos();
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

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("not 0")
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_is_full_at_first_and_then_gets_its_rate() {
        let start = Instant::now();
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
    fn no_more_is_kept_than_a_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(count(1_000), count(5), start);
        let late = start + Duration::from_secs(1 << 40);
        assert_eq!(bucket.take(64, late), Ok(5));
        bucket.give_back(64);
        assert_eq!(bucket.take(64, late), Ok(5));
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let start = Instant::now();
        let mut bucket = Bucket::new(count(1), count(4), start);
        assert_eq!(bucket.take(4, start), Ok(4));
        bucket.give_back(3);
        assert_eq!(bucket.take(64, start), Ok(3));
        assert!(bucket.take(1, start).is_err());
    }

    #[test]
    fn in_any_time_no_more_come_than_the_rate_and_a_burst() {
        let start = Instant::now();
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
            let passed = (now - start).as_nanos();
            let allowed = 5 + passed * u128::from(rate) / u128::from(TOKEN);
            assert!(taken <= allowed, "{rate}: {taken} of {allowed}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing() {
        let start = Instant::now();
        let later = start + millis(1_000);
        let mut bucket = Bucket::new(count(1), count(1), later);
        assert_eq!(bucket.take(1, later), Ok(1));
        assert!(bucket.take(1, start).is_err());
        assert!(bucket.take(1, later + millis(999)).is_err());
        assert_eq!(bucket.take(1, later + millis(1_000)), Ok(1));
    }

    #[test]
    fn clones_share_a_bucket_and_another_burst_is_another_bucket() {
        let rate = AcceptRate::per_second(count(2));
        assert_eq!(rate.take(64), Ok(2));
        assert!(rate.clone().take(1).is_err());
        let other = rate.clone().burst(count(3));
        assert_eq!(other.take(64), Ok(3));
        rate.give_back(1);
        assert_eq!(rate.clone().take(64), Ok(1));
    }
}
