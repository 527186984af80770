//! How often a program is started that ends before it accepts its connection: another attempt would most likely end
//! in the same way, and its connections do not wait for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long to wait after the first failure. Each further one doubles it.
const FIRST: Duration = Duration::from_millis(250);

/// The longest time to wait.
const LAST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<Option<Failing>>);

/// A program that has ended before it accepted, and has not accepted since.
#[derive(Debug)]
struct Failing {
    failures: u32,
    /// When the last of them was.
    last: Instant,
    /// Before that, it is not started.
    next: Instant,
}

/// A failure that the backoff has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub is_first: bool,
    /// How long the program is not started.
    pub pause: Duration,
}

impl Backoff {
    /// Begins an attempt. While the program fails, there is one at a time: the next one may begin when its pause is over.
    ///
    /// # Errors
    /// How long no program is started, if that is the case.
    pub fn begin(&self, now: Instant) -> Result<(), Duration> {
        match &mut *self.failing() {
            None => Ok(()),
            Some(failing) if now < failing.next => Err(failing.next - now),
            Some(failing) => {
                failing.next = now + pause(failing.failures);
                Ok(())
            }
        }
    }

    /// The program has accepted a connection. Returns whether it had failed before.
    pub fn accepted(&self) -> bool {
        self.failing().take().is_some()
    }

    /// The program, which was started at `begun`, has ended before it accepted.
    pub fn failed(&self, begun: Instant, now: Instant) -> Counted {
        let mut state = self.failing();
        let failures = match &*state {
            None => 1,
            // One that was started at the same time has failed before.
            Some(failing) if begun < failing.last => {
                return Counted {
                    is_first: false,
                    pause: failing.next.saturating_duration_since(now),
                };
            }
            Some(failing) => failing.failures.saturating_add(1),
        };
        let pause = pause(failures);
        *state = Some(Failing {
            failures,
            last: now,
            next: now + pause,
        });
        Counted {
            is_first: failures == 1,
            pause,
        }
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how long to wait after this many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1));
    FIRST.saturating_mul(doubled.unwrap_or(u32::MAX)).min(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pauses = [1, 2, 3, 6, 7, 100, u32::MAX].map(|count| pause(count).as_millis());
        assert_eq!(pauses, [250, 500, 1_000, 8_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn a_program_that_fails_is_started_once_in_each_pause() {
        let backoff = Backoff::default();
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(backoff.begin(start), Ok(()));
        }
        let counted = backoff.failed(start, start + FIRST);
        assert!(counted.is_first);
        // The two others were started at the same time.
        assert!(!backoff.failed(start, start + FIRST).is_first);
        let next = start + FIRST + counted.pause;
        assert_eq!(backoff.begin(start + FIRST), Err(FIRST));
        assert_eq!(backoff.begin(next), Ok(()));
        assert_eq!(backoff.begin(next), Err(FIRST));
        let again = backoff.failed(next, next);
        assert_eq!((again.is_first, again.pause), (false, 2 * FIRST));
    }

    #[test]
    fn a_program_that_accepts_is_started_at_any_time() {
        let backoff = Backoff::default();
        assert!(!backoff.accepted());
        let now = Instant::now();
        backoff.failed(now, now);
        assert!(backoff.begin(now).is_err());
        assert!(backoff.accepted());
        assert_eq!(backoff.begin(now), Ok(()));
        assert!(backoff.failed(now, now).is_first);
    }
}
