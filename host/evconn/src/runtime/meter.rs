//! Measures how long a guest computes for one connection.
//!
//! Each poll of the guest is charged by the clock; a poll that takes longer than a time slice is charged
//! slice by slice. Time during which the operating system ran other threads cannot be told from computing
//! time, but no slice is charged with more than its length. Waiting is not charged.
//!
//! What happens to a guest that uses up its time slice is decided in [`background`](super::background).

use super::engine::SLICE;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The meter of one connection, shared by the store in which its guest runs and the task that polls it.
/// Only one thread uses it at a time.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Instant,
    /// Since when the guest has been running without being charged, in nanoseconds from `start` on, or
    /// [`NOT_YET`].
    mark: AtomicU64,
    /// The time charged so far, in nanoseconds.
    used: AtomicU64,
    /// The most that may be charged, in nanoseconds.
    limit: u64,
    /// Whether the guest has used up a slice in this poll.
    slice_over: AtomicBool,
}

/// Without a limit, only whole slices are charged: reading the clock costs time.
const NO_LIMIT: u64 = u64::MAX;

/// The clock is read at the first tick of this poll.
const NOT_YET: u64 = u64::MAX;

/// What a tick of the engine's clock means for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// The slice began before this poll did: the guest continues.
    TooSoon,
    /// The slice is over: other tasks run.
    SliceOver,
    /// The guest may run no more.
    LimitReached,
}

impl Meter {
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            start: Instant::now(),
            mark: AtomicU64::new(0),
            used: AtomicU64::new(0),
            limit: limit.map_or(NO_LIMIT, nanoseconds),
            slice_over: AtomicBool::new(false),
        }
    }

    /// Starts the clock: the guest is about to be polled.
    pub fn begin_poll(&self) {
        let mark = match self.limit {
            NO_LIMIT => NOT_YET,
            _ => self.now(),
        };
        self.mark.store(mark, Ordering::Relaxed);
        self.slice_over.store(false, Ordering::Relaxed);
    }

    /// Charges the poll that has ended. Returns whether the guest used up a slice in it, rather than
    /// waiting for something.
    pub fn end_poll(&self) -> bool {
        if self.limit != NO_LIMIT {
            self.charge();
        }
        self.slice_over.load(Ordering::Relaxed)
    }

    /// Charges the guest at a tick of the engine's clock, which does not know when polls begin.
    pub(crate) fn tick(&self) -> Tick {
        let (now, mark) = (self.now(), self.mark.load(Ordering::Relaxed));
        if mark == NOT_YET {
            self.mark.store(now, Ordering::Relaxed);
            return Tick::TooSoon;
        }
        let ran = now.saturating_sub(mark);
        if ran < nanoseconds(SLICE) / 2 {
            // Many short polls count as much as a long one.
            return match self.used.load(Ordering::Relaxed).saturating_add(ran) > self.limit {
                true => Tick::LimitReached,
                false => Tick::TooSoon,
            };
        }
        if self.charge() > self.limit {
            return Tick::LimitReached;
        }
        self.slice_over.store(true, Ordering::Relaxed);
        Tick::SliceOver
    }

    /// Charges the time since the last charge. Returns the total.
    fn charge(&self) -> u64 {
        let now = self.now();
        let ran = now.saturating_sub(self.mark.swap(now, Ordering::Relaxed));
        let charged = ran.min(2 * nanoseconds(SLICE));
        self.used.fetch_add(charged, Ordering::Relaxed) + charged
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pretends that the guest has been running for a while without being charged.
    fn run_for(meter: &Meter, time: Duration) {
        let since = meter.now().saturating_sub(nanoseconds(time));
        meter.mark.store(since, Ordering::Relaxed);
    }

    fn meter(limit: Option<Duration>) -> Meter {
        let mut meter = Meter::new(limit);
        // So that there is a past in which it can have run.
        meter.start -= Duration::from_secs(3600);
        meter.begin_poll();
        meter
    }

    #[test]
    fn short_turns_use_up_the_limit_too() {
        let meter = meter(Some(SLICE));
        for _ in 0..3 {
            meter.begin_poll();
            run_for(&meter, SLICE / 4);
            assert!(matches!(meter.tick(), Tick::TooSoon));
            meter.end_poll();
        }
        meter.begin_poll();
        run_for(&meter, SLICE / 4);
        assert!(matches!(meter.tick(), Tick::LimitReached));
    }

    #[test]
    fn a_slice_that_began_before_the_turn_goes_on() {
        let meter = meter(None);
        run_for(&meter, SLICE / 100);
        assert_eq!(meter.tick(), Tick::TooSoon);
        assert!(!meter.end_poll());
    }

    #[test]
    fn a_guest_that_does_not_wait_has_used_up_its_slice() {
        let meter = meter(None);
        run_for(&meter, SLICE);
        assert_eq!(meter.tick(), Tick::SliceOver);
        assert!(meter.end_poll());
        meter.begin_poll();
        assert!(!meter.end_poll());
    }

    #[test]
    fn the_limit_is_of_all_turns_together() {
        let meter = meter(Some(10 * SLICE));
        for _ in 0..10 {
            meter.begin_poll();
            run_for(&meter, SLICE);
            meter.end_poll();
        }
        meter.begin_poll();
        run_for(&meter, SLICE);
        assert_eq!(meter.tick(), Tick::LimitReached);
    }

    #[test]
    fn what_is_longer_than_a_slice_was_not_all_computing() {
        let meter = meter(Some(10 * SLICE));
        run_for(&meter, 1000 * SLICE);
        assert_eq!(meter.tick(), Tick::SliceOver);
        assert_eq!(meter.used.load(Ordering::Relaxed), nanoseconds(2 * SLICE));
    }
}
