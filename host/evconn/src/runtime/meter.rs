//! How much a guest computes, for one connection.
//!
//! The time of each turn that it gets is charged, by the clock; so is, in a turn that does not end by
//! itself, that of each slice. What a turn was interrupted for by the operating system cannot be told
//! from computing, but it is cut to what a slice can be. Waiting is no turn, and free.
//!
//! Where it ends: what a guest that uses up its slice gets for it is [`background`](super::background)'s.

use super::engine::SLICE;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by the store whose guest runs, and the task that lets it run. Only one thread does so at a
/// time.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Instant,
    /// From when on the guest runs, as far as it was not charged yet; nanoseconds from `start` on. Or
    /// [`NOT_YET`].
    mark: AtomicU64,
    /// What was charged, in nanoseconds.
    used: AtomicU64,
    /// The most that may be charged, in nanoseconds.
    limit: u64,
    /// The guest has used up a slice in this turn.
    slice_over: AtomicBool,
}

/// Without one, nothing has to be charged but to cut slices: each look at the clock costs.
const NO_LIMIT: u64 = u64::MAX;

/// The clock is looked at when the engine's says for the first time in this turn that a slice is over.
const NOT_YET: u64 = u64::MAX;

/// What comes of a slice's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// The slice had begun before this turn did: it goes on.
    TooSoon,
    /// Others get their turn.
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

    /// The guest gets its turn.
    pub fn begin_turn(&self) {
        let mark = match self.limit {
            NO_LIMIT => NOT_YET,
            _ => self.now(),
        };
        self.mark.store(mark, Ordering::Relaxed);
        self.slice_over.store(false, Ordering::Relaxed);
    }

    /// The turn is over. Whether the guest has used up a slice in it, rather than end it by waiting.
    pub fn end_turn(&self) -> bool {
        if self.limit != NO_LIMIT {
            self.charge();
        }
        self.slice_over.load(Ordering::Relaxed)
    }

    /// The guest's slice is over by the clock of the engine, which does not know of turns.
    pub(crate) fn tick(&self) -> Tick {
        let (now, mark) = (self.now(), self.mark.load(Ordering::Relaxed));
        if mark == NOT_YET {
            self.mark.store(now, Ordering::Relaxed);
            return Tick::TooSoon;
        }
        let ran = now.saturating_sub(mark);
        if ran < nanoseconds(SLICE) / 2 {
            // Many short turns are as much as one that is long.
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

    /// Charge what the guest ran since it was last charged. Returns all that was charged.
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

    /// Let the guest of this meter have run for a while without being charged.
    fn run_for(meter: &Meter, time: Duration) {
        let since = meter.now().saturating_sub(nanoseconds(time));
        meter.mark.store(since, Ordering::Relaxed);
    }

    fn meter(limit: Option<Duration>) -> Meter {
        let mut meter = Meter::new(limit);
        // So that there is a past to have run in.
        meter.start -= Duration::from_secs(3600);
        meter.begin_turn();
        meter
    }

    #[test]
    fn short_turns_use_up_the_limit_too() {
        let meter = meter(Some(SLICE));
        for _ in 0..3 {
            meter.begin_turn();
            run_for(&meter, SLICE / 4);
            assert!(matches!(meter.tick(), Tick::TooSoon));
            meter.end_turn();
        }
        meter.begin_turn();
        run_for(&meter, SLICE / 4);
        assert!(matches!(meter.tick(), Tick::LimitReached));
    }

    #[test]
    fn a_slice_that_began_before_the_turn_goes_on() {
        let meter = meter(None);
        run_for(&meter, SLICE / 100);
        assert_eq!(meter.tick(), Tick::TooSoon);
        assert!(!meter.end_turn());
    }

    #[test]
    fn a_guest_that_does_not_wait_has_used_up_its_slice() {
        let meter = meter(None);
        run_for(&meter, SLICE);
        assert_eq!(meter.tick(), Tick::SliceOver);
        assert!(meter.end_turn());
        meter.begin_turn();
        assert!(!meter.end_turn());
    }

    #[test]
    fn the_limit_is_of_all_turns_together() {
        let meter = meter(Some(10 * SLICE));
        for _ in 0..10 {
            meter.begin_turn();
            run_for(&meter, SLICE);
            meter.end_turn();
        }
        meter.begin_turn();
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
