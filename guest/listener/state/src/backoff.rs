//! The backoff between attempts to accept: steps from 5 ms, doubling to 1 s, as in Go's net/http.

use crate::{Duration, Instant};

const MILLISECOND: Duration = 1_000_000;

/// The length of the first step, and the minimum time between two retries that have an effect.
pub const SHORTEST_STEP: Duration = 5 * MILLISECOND;

/// The maximum length of a step.
pub const LONGEST_STEP: Duration = 1_000 * MILLISECOND;

/// The backoff of one listener.
#[derive(Clone, Debug)]
pub struct Backoff {
    next_step: Duration,
    until: Option<Instant>,
    last_retry: Option<Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            next_step: SHORTEST_STEP,
            until: None,
            last_retry: None,
        }
    }
}

impl Backoff {
    /// Begins a step, and returns its length.
    pub fn begin(&mut self, now: Instant) -> Duration {
        let step = self.next_step;
        self.next_step = (2 * step).min(LONGEST_STEP);
        self.until = Some(now.saturating_add(step));
        step
    }

    /// Returns the remaining time of the step, or `None` if no step is running.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_sub(now);
        (left > 0).then_some(left)
    }

    /// Ends the step early. Returns whether this had an effect.
    pub fn retry(&mut self, now: Instant) -> bool {
        let too_soon = self
            .last_retry
            .is_some_and(|last| now.saturating_sub(last) < SHORTEST_STEP);
        if self.remaining(now).is_none() || too_soon {
            return false;
        }
        self.until = None;
        self.last_retry = Some(now);
        true
    }

    /// Resets the backoff after a successful accept: the next step is the shortest again.
    pub fn succeeded(&mut self) {
        self.next_step = SHORTEST_STEP;
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_from_5_ms_to_1_s() {
        let mut backoff = Backoff::default();
        let steps: Vec<_> = (0..10).map(|_| backoff.begin(0) / MILLISECOND).collect();
        assert_eq!(steps, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn success_goes_back_to_the_shortest_step() {
        let mut backoff = Backoff::default();
        backoff.begin(0);
        backoff.begin(0);
        backoff.succeeded();
        assert_eq!(backoff.remaining(0), None);
        assert_eq!(backoff.begin(0), SHORTEST_STEP);
    }

    #[test]
    fn a_step_ends_by_itself() {
        let mut backoff = Backoff::default();
        backoff.begin(100);
        assert_eq!(backoff.remaining(100), Some(SHORTEST_STEP));
        assert_eq!(backoff.remaining(100 + SHORTEST_STEP - 1), Some(1));
        assert_eq!(backoff.remaining(100 + SHORTEST_STEP), None);
    }

    #[test]
    fn retry_ends_a_step_at_most_once_in_5_ms() {
        let mut backoff = Backoff::default();
        assert!(!backoff.retry(0), "there is no step to end");
        backoff.begin(0);
        assert!(backoff.retry(1));
        assert_eq!(backoff.remaining(1), None);
        backoff.begin(1);
        assert!(!backoff.retry(SHORTEST_STEP), "too soon");
        assert!(backoff.retry(1 + SHORTEST_STEP));
    }

    #[test]
    fn a_clock_near_its_end_does_no_harm() {
        let mut backoff = Backoff::default();
        backoff.begin(Instant::MAX - 1);
        assert_eq!(backoff.remaining(Instant::MAX), None);
    }
}
