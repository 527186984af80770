//! A rate, as the generic cell rate algorithm (GCRA) has it. It reads no clock.

use std::num::NonZeroU64;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// How much of the bytes of a second may be transferred at once after a pause: a tenth. That is more than a timer is
/// late, so that the rate is reached.
const BURST_OF_BYTES: Duration = Duration::from_millis(100);

/// How far ahead the state may be. One that is further is none: whatever is in a memory that others write to, nobody
/// waits for ever.
const FURTHEST: u64 = 3_600 * SECOND;

/// How many pieces there are in a second, unless they were smaller than [`SMALLEST_PIECE`].
const PIECES: u64 = 50;

const SMALLEST_PIECE: u64 = 1 << 10;

/// How much may come per second, and how much of that at once.
///
/// All that changes is one number, the time until which the rate is used up: in nanoseconds of any clock. If that is
/// past, nothing needs to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU64,
    /// How far ahead of the rate it may be, in nanoseconds.
    burst: u64,
}

impl Rate {
    /// Returns a rate that may be ahead by this time.
    pub fn new(per_second: NonZeroU64, burst: Duration) -> Self {
        let burst = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        Self {
            per_second,
            burst: burst.min(FURTHEST),
        }
    }

    /// Returns a rate of bytes, a tenth of which may come at once.
    pub fn bytes(per_second: NonZeroU64) -> Self {
        Self::new(per_second, BURST_OF_BYTES)
    }

    /// Returns a rate of what comes one by one, as many of which may come at once as in a second.
    pub fn counted(per_second: NonZeroU64) -> Self {
        let at_once = Self::new(per_second, Duration::ZERO);
        let further = at_once.time_of(1).saturating_mul(per_second.get() - 1);
        Self::new(per_second, Duration::from_nanos(further))
    }

    /// Reserves so much after all that was reserved before. Returns until when the rate is used up then, and how long
    /// to wait before the amount may come.
    pub fn reserve(self, used_up: u64, now: u64, amount: u64) -> (u64, Duration) {
        let begin = match used_up.saturating_sub(now) {
            ..=FURTHEST => used_up.max(now),
            _ => now,
        };
        let wait = begin.saturating_sub(self.burst).saturating_sub(now);
        let end = begin.saturating_add(self.time_of(amount));
        (end, Duration::from_nanos(wait))
    }

    /// Takes so much if it may come now. Returns until when the rate is used up then.
    pub fn take(self, used_up: u64, now: u64, amount: u64) -> Option<u64> {
        let (end, wait) = self.reserve(used_up, now, amount);
        wait.is_zero().then_some(end)
    }

    /// Gives back what was reserved and has not come.
    pub fn give_back(self, used_up: u64, amount: u64) -> u64 {
        used_up.saturating_sub(self.time_of(amount))
    }

    /// Returns how much is reserved at a time: small enough that connections which share the rate take turns, and large
    /// enough that a turn is worth waking for.
    pub(super) fn piece(self) -> u64 {
        let per_second = self.per_second.get();
        (per_second / PIECES).max(per_second.min(SMALLEST_PIECE))
    }

    /// Returns how long so much takes, in nanoseconds. It is rounded up: the rate is not exceeded.
    fn time_of(self, amount: u64) -> u64 {
        let time = u128::from(amount) * u128::from(SECOND);
        u64::try_from(time.div_ceil(self.per_second.get().into())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 7 * SECOND;

    fn rate(per_second: u64) -> Rate {
        Rate::bytes(NonZeroU64::new(per_second).expect("not 0"))
    }

    /// Transfers pieces of `amount` one after the other, each after its wait, and returns when the last one came.
    fn transfer(rate: Rate, amount: u64, pieces: u64) -> u64 {
        let (mut used_up, mut now) = (0, START);
        for _ in 0..pieces {
            let (end, wait) = rate.reserve(used_up, now, amount);
            used_up = end;
            now += wait.as_nanos() as u64;
        }
        now - START
    }

    #[test]
    fn what_is_transferred_takes_as_long_as_the_rate_says() {
        const GIGABYTE: u64 = 1 << 30;
        for (per_second, amount) in [
            (1, 1),
            (1_000, 20),
            (1 << 20, 20 << 10),
            (10 * GIGABYTE, 200 << 20),
            (100 * GIGABYTE, GIGABYTE),
            (u64::MAX, u64::MAX / 50),
        ] {
            let taken = u128::from(transfer(rate(per_second), amount, 101));
            let exact = 100 * u128::from(amount) * u128::from(SECOND) / u128::from(per_second);
            let burst = BURST_OF_BYTES.as_nanos();
            assert!(taken >= exact - burst, "{per_second}: {taken} of {exact}");
            assert!(
                taken <= exact - burst + 101,
                "{per_second}: {taken} of {exact}"
            );
        }
    }

    #[test]
    fn no_more_comes_at_once_than_a_burst() {
        let rate = rate(1_000);
        let mut used_up = 0;
        let mut at_once = 0;
        while let Some(end) = rate.take(used_up, START, 10) {
            used_up = end;
            at_once += 10;
        }
        // A tenth of a second, and the piece with which it is used up.
        assert_eq!(at_once, 110);
        assert_eq!(rate.take(used_up, START + SECOND / 100 - 1, 10), None);
        assert!(rate.take(used_up, START + SECOND / 100, 10).is_some());
        // After a long pause, it is no more.
        let mut again = 0;
        while let Some(end) = rate.take(used_up, 1_000 * SECOND, 10) {
            used_up = end;
            again += 10;
        }
        assert_eq!(again, 110);
    }

    #[test]
    fn as_many_come_at_once_as_in_a_second_and_then_one_by_one() {
        for most in [1, 2, 3, 7, 1_000, 999_983] {
            let rate = Rate::counted(NonZeroU64::new(most).expect("not 0"));
            let (mut used_up, mut at_once) = (0, 0);
            while let Some(end) = rate.take(used_up, START, 1) {
                used_up = end;
                at_once += 1;
            }
            assert_eq!(at_once, most);
            let next = SECOND.div_ceil(most);
            assert_eq!(rate.take(used_up, START + next - 1, 1), None);
            assert!(rate.take(used_up, START + next, 1).is_some());
        }
    }

    #[test]
    fn who_reserves_later_waits_for_longer() {
        let rate = rate(1_000);
        let mut used_up = 0;
        for expected in [0, 0, 100, 200, 300] {
            let (end, wait) = rate.reserve(used_up, START, 100);
            used_up = end;
            assert_eq!(wait.as_millis(), expected);
        }
    }

    #[test]
    fn what_is_given_back_was_not_reserved() {
        let rate = rate(3);
        let (one, _) = rate.reserve(0, START, 1);
        let (both, _) = rate.reserve(one, START, 7);
        assert!(rate.give_back(both, 7).abs_diff(one) <= 1);
        assert_eq!(rate.give_back(5, u64::MAX), 0);
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing() {
        let rate = rate(1_000);
        let (used_up, _) = rate.reserve(0, START, 1_000);
        let (_, wait) = rate.reserve(used_up, START - SECOND, 1);
        assert_eq!(wait, Duration::from_millis(1_900));
        assert_eq!(rate.take(used_up, START - SECOND, 1), None);
    }

    #[test]
    fn nothing_overflows_and_nobody_waits_for_ever() {
        for per_second in [1, 3, 1 << 40, u64::MAX] {
            for used_up in [0, START, u64::MAX] {
                for now in [0, START, u64::MAX] {
                    for amount in [0, 1, u64::MAX] {
                        let rate = rate(per_second);
                        let (end, wait) = rate.reserve(used_up, now, amount);
                        assert!(wait <= Duration::from_nanos(FURTHEST));
                        assert!(end >= now);
                        assert!(rate.give_back(end, amount) <= end);
                    }
                }
            }
        }
    }

    #[test]
    fn a_piece_is_worth_waking_for_and_takes_no_longer_than_a_second() {
        for (per_second, piece) in [
            (1, 1),
            (1_000, 1_000),
            (10_000, 1 << 10),
            (1 << 20, (1 << 20) / 50),
            (u64::MAX, u64::MAX / 50),
        ] {
            assert_eq!(rate(per_second).piece(), piece);
        }
    }
}
