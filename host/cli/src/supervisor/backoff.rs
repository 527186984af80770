//! The delay before a worker that has died is replaced.

use std::time::{Duration, Instant};

/// A worker that lived for longer is not one of a series that dies at its start.
const STABLE: Duration = Duration::from_secs(10);

/// The delay after the second death in a row. It doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The number of workers that have died one after the other, and the time of the next start.
#[derive(Debug, Default)]
pub struct Backoff {
    deaths: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Records that a worker has died, or could not be started, at `now`. Returns the delay before the next start.
    pub fn died(&mut self, lived: Duration, now: Instant) -> Duration {
        self.deaths = match lived > STABLE {
            true => 1,
            false => self.deaths.saturating_add(1),
        };
        let doubled = 2_u32.saturating_pow(self.deaths.saturating_sub(2));
        let delay = match self.deaths {
            1 => Duration::ZERO,
            _ => FIRST_DELAY.saturating_mul(doubled).min(MAX_DELAY),
        };
        self.until = Some(now + delay);
        delay
    }

    /// Returns when a worker may be started.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    pub fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_has_no_delay_and_repeated_ones_have_longer_and_longer_ones() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert!(backoff.is_over(now));
        let delays: Vec<_> = (0..12).map(|_| backoff.died(Duration::ZERO, now)).collect();
        assert_eq!(delays[0], Duration::ZERO);
        assert_eq!(delays[1], Duration::from_millis(100));
        assert_eq!(delays[2], Duration::from_millis(200));
        assert_eq!(delays[11], MAX_DELAY);
        assert!(!backoff.is_over(now) && backoff.is_over(now + MAX_DELAY));
        assert_eq!(backoff.died(2 * STABLE, now), Duration::ZERO);
    }
}
