//! Who has used too much of the processors.

use crate::runtime::meter::Now;
use std::sync::atomic::{AtomicU64, Ordering};

/// By how much a connection may exceed its share before it goes to the background, in microseconds: enough for an answer of a service in
/// an interpreted language, which takes about 2 ms with its start.
const ALLOWED: u32 = 3_000;

/// A connection has used more than others if its excess is this many times that of the lightest one.
const MORE: u32 = 4;

/// For how long a connection that has run is taken into account, in nanoseconds: one or two of these windows.
const WINDOW: u64 = 500_000_000;

/// The excess of the lightest connection that ran lately in the foreground: of those that have ended, and of those that
/// have [settled](super::super::meter::Meter::has_settled). One that has just begun may be about to use as much as the others.
///
/// A connection is heavy if it has exceeded its share by a lot, and the lightest one by far less. If all of them use much the same, none
/// is in the way of others, and all stay on the workers, where they are a little faster.
#[derive(Debug, Default)]
pub(super) struct Lightest {
    /// The last two windows: for each the number of the window and the least that was noted, in one word.
    windows: [AtomicU64; 2],
}

impl Lightest {
    /// Notes that a connection has run in the foreground with this excess.
    pub fn note(&self, excess: u32, now: Now) {
        let window = window(now);
        let slot = &self.windows[window as usize % 2];
        let word = slot.load(Ordering::Relaxed);
        // If two threads do this at the same time, one of the two values is kept, which is good enough.
        if word >> 32 != window || excess < word as u32 {
            slot.store(window << 32 | u64::from(excess), Ordering::Relaxed);
        }
    }

    /// Returns whether a connection with this excess goes to the background.
    pub fn is_heavy(&self, excess: u32, now: Now) -> bool {
        excess > ALLOWED && self.least(now).is_some_and(|least| excess / MORE > least)
    }

    /// Returns whether a connection with this excess leaves the background.
    pub fn is_light(&self, excess: u32, now: Now) -> bool {
        let back = |least| excess / (MORE / 2) < least;
        excess < ALLOWED / 2 || self.least(now).is_none_or(back)
    }

    fn least(&self, now: Now) -> Option<u32> {
        let now = window(now);
        let words = self
            .windows
            .each_ref()
            .map(|slot| slot.load(Ordering::Relaxed));
        let recent = words
            .into_iter()
            .filter(|word| now - (word >> 32).min(now) <= 1);
        recent.map(|word| word as u32).min()
    }
}

/// Returns the number of the current window, which is never 0.
fn window(now: Now) -> u64 {
    (now.0 / WINDOW + 2) & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now(10 * WINDOW);

    #[test]
    fn who_uses_far_more_than_the_lightest_is_heavy() {
        let lightest = Lightest::default();
        assert!(!lightest.is_heavy(u32::MAX, NOW), "nobody else runs");
        assert!(lightest.is_light(u32::MAX, NOW));
        lightest.note(ALLOWED, NOW);
        assert!(!lightest.is_heavy(MORE * ALLOWED, NOW));
        assert!(lightest.is_heavy(MORE * (ALLOWED + 1), NOW));
        lightest.note(10, NOW);
        assert!(!lightest.is_heavy(ALLOWED, NOW));
        assert!(lightest.is_heavy(ALLOWED + 1, NOW));
        // A heavier one makes no difference.
        lightest.note(ALLOWED, NOW);
        assert!(lightest.is_heavy(ALLOWED + 1, NOW));
    }

    #[test]
    fn who_has_not_run_for_long_does_not_count() {
        let lightest = Lightest::default();
        lightest.note(0, NOW);
        assert!(lightest.is_heavy(ALLOWED + 1, Now(NOW.0 + WINDOW)));
        assert!(!lightest.is_heavy(ALLOWED + 1, Now(NOW.0 + 2 * WINDOW)));
    }

    #[test]
    fn who_has_not_used_far_more_than_others_comes_back() {
        let lightest = Lightest::default();
        lightest.note(ALLOWED, NOW);
        assert!(lightest.is_light(2 * ALLOWED - 1, NOW));
        assert!(!lightest.is_light(2 * ALLOWED, NOW));
    }

    #[test]
    fn half_of_what_is_allowed_brings_it_back() {
        let lightest = Lightest::default();
        lightest.note(0, NOW);
        assert!(!lightest.is_light(ALLOWED / 2, NOW));
        assert!(lightest.is_light(ALLOWED / 2 - 1, NOW));
    }
}
