//! How often a program is started that ends before it accepts its connection, or an instance of a handler is made that
//! fails at its start: another attempt would most likely end in the same way, and its connections do not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// A start of a program. Until it is known whether that accepts, and the program has failed before, there is no other.
#[derive(Debug)]
pub(super) struct Attempt {
    backoff: Arc<Backoff>,
    begun: Instant,
    is_over: AtomicBool,
}

impl Backoff {
    /// Begins an attempt. While the program fails, there is one at a time: the next one may begin when its pause is over.
    ///
    /// # Errors
    /// How long no program is started, if that is the case.
    pub fn begin(self: &Arc<Self>, now: Instant) -> Result<Attempt, Duration> {
        match &mut *self.failing() {
            None => {}
            Some(failing) if now < failing.next => return Err(failing.next - now),
            Some(failing) => failing.next = now + pause(failing.failures),
        }
        Ok(Attempt {
            backoff: Arc::clone(self),
            begun: now,
            is_over: AtomicBool::new(false),
        })
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The program has accepted its connection. Returns whether it had failed before.
    pub fn accepted(&self) -> bool {
        let was_over = self.is_over.swap(true, Ordering::Relaxed);
        !was_over && self.backoff.failing().take().is_some()
    }

    /// The program has ended before it accepted.
    pub fn failed(self, now: Instant) -> Counted {
        self.is_over.store(true, Ordering::Relaxed);
        let mut state = self.backoff.failing();
        let failures = match &*state {
            None => 1,
            // One that was started at the same time has failed before.
            Some(failing) if self.begun < failing.last => {
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
}

impl Drop for Attempt {
    /// Lets the next one begin if this one was given up, by its peer, for example: who connects and resets must not keep
    /// the program from being started for others.
    fn drop(&mut self) {
        if !*self.is_over.get_mut()
            && let Some(failing) = &mut *self.backoff.failing()
            && failing.last <= self.begun
        {
            failing.next = self.begun;
        }
    }
}

/// Returns how long to wait after this many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
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

    fn begun(backoff: &Arc<Backoff>, now: Instant) -> Attempt {
        backoff.begin(now).expect("it may begin")
    }

    #[test]
    fn a_program_that_fails_is_started_once_in_each_pause() {
        let backoff = Arc::<Backoff>::default();
        let start = Instant::now();
        let [one, other] = [(); 2].map(|()| begun(&backoff, start));
        let counted = one.failed(start + FIRST);
        assert!(counted.is_first);
        // It was started at the same time.
        assert!(!other.failed(start + FIRST).is_first);
        let next = start + FIRST + counted.pause;
        assert_eq!(backoff.begin(start + FIRST).err(), Some(FIRST));
        let attempt = begun(&backoff, next);
        assert_eq!(backoff.begin(next).err(), Some(FIRST));
        let again = attempt.failed(next);
        assert_eq!((again.is_first, again.pause), (false, 2 * FIRST));
    }

    #[test]
    fn a_program_that_accepts_is_started_at_any_time() {
        let backoff = Arc::<Backoff>::default();
        let now = Instant::now();
        assert!(!begun(&backoff, now).accepted());
        let other = begun(&backoff, now);
        begun(&backoff, now).failed(now);
        assert!(backoff.begin(now).is_err());
        assert!(other.accepted() && !other.accepted());
        drop(other);
        assert!(begun(&backoff, now).failed(now).is_first);
    }

    #[test]
    fn an_attempt_that_is_given_up_makes_way_for_the_next() {
        let backoff = Arc::<Backoff>::default();
        let now = Instant::now();
        begun(&backoff, now).failed(now);
        let next = now + FIRST;
        for _ in 0..3 {
            let attempt = begun(&backoff, next);
            assert!(backoff.begin(next).is_err());
            drop(attempt);
        }
        // One that was begun before the failure changes nothing.
        let early = Arc::<Backoff>::default();
        let attempt = begun(&early, now);
        begun(&early, now).failed(next);
        drop(attempt);
        assert!(early.begin(next).is_err());
    }
}
