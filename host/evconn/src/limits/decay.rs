//! Amounts of CPU time that decay: half of it is forgotten after each [`HALF_LIFE`].

/// How long it takes until half of what was used is forgotten, in milliseconds.
pub(crate) const HALF_LIFE: u32 = 1_000;

/// An amount that decays, in microseconds, and the time at which it was that: one word, so that it can be shared
/// between threads and processes without a lock. Times are in milliseconds of any one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decaying(u64);

impl Decaying {
    pub fn new(amount: u32, now: u32) -> Self {
        Self(u64::from(now) << 32 | u64::from(amount))
    }

    pub fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub fn word(self) -> u64 {
        self.0
    }

    /// Returns how much time has passed since it was that amount: none, if that is in the future.
    pub fn age(self, now: u32) -> u32 {
        // The clock may have wrapped.
        let passed = now.wrapping_sub((self.0 >> 32) as u32);
        if passed > u32::MAX / 2 { 0 } else { passed }
    }

    /// Returns how much is left of it.
    pub fn at(self, now: u32) -> u32 {
        let amount = self.0 & u64::from(u32::MAX);
        let passed = self.age(now);
        let (halves, rest) = (passed / HALF_LIFE, passed % HALF_LIFE);
        let amount = amount.checked_shr(halves).unwrap_or(0);
        // Linear between two halves.
        let lost = amount * u64::from(rest) / u64::from(2 * HALF_LIFE);
        (amount - lost) as u32
    }

    /// Adds to it.
    pub fn plus(self, amount: u32, now: u32) -> Self {
        let before = (self.0 >> 32) as u32;
        let latest = before.wrapping_add(self.age(now));
        Self::new(self.at(now).saturating_add(amount), latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_it_is_forgotten_after_each_half_life() {
        let used = Decaying::new(1_000, 5);
        assert_eq!(used.at(5), 1_000);
        assert_eq!(used.at(5 + HALF_LIFE / 2), 750);
        assert_eq!(used.at(5 + HALF_LIFE), 500);
        assert_eq!(used.at(5 + 3 * HALF_LIFE), 125);
        assert_eq!(used.at(5 + 100 * HALF_LIFE), 0);
        assert_eq!(Decaying::default().at(u32::MAX / 4), 0);
    }

    #[test]
    fn what_is_added_decays_with_the_rest() {
        let used = Decaying::new(1_000, 0).plus(500, HALF_LIFE);
        assert_eq!(used, Decaying::new(1_000, HALF_LIFE));
        assert_eq!(used.plus(u32::MAX, HALF_LIFE).at(HALF_LIFE), u32::MAX);
        assert_eq!(Decaying::from_word(used.word()), used);
    }

    #[test]
    fn clocks_may_differ_a_little_and_wrap() {
        let used = Decaying::new(1_000, 10);
        assert_eq!(used.at(9), 1_000);
        assert_eq!(used.plus(1, 9), Decaying::new(1_001, 10));
        let before = Decaying::new(1_000, u32::MAX - HALF_LIFE / 2 + 1);
        assert_eq!(before.at(HALF_LIFE / 2), 500);
    }
}
