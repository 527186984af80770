//! Limits how many lines a connection's guest prints to the log: [`LINES`] in each [`SPAN`].

use std::time::{Duration, Instant};

/// The most lines that are logged in a [`SPAN`].
pub const LINES: u32 = 100;

/// The period over which lines are counted.
pub const SPAN: Duration = Duration::from_secs(10);

/// How many lines of a connection were logged and left out in the current span.
#[derive(Debug)]
pub struct Budget {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What happens to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Logged,
    /// It is the first line that is left out.
    FirstLeftOut,
    LeftOut,
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            lines: 0,
            left_out: 0,
        }
    }

    /// Counts a line, and returns what happens to it. Call [`end_span`](Self::end_span) before.
    pub fn take(&mut self) -> Fate {
        if self.lines < LINES {
            self.lines += 1;
            return Fate::Logged;
        }
        self.left_out += 1;
        match self.left_out {
            1 => Fate::FirstLeftOut,
            _ => Fate::LeftOut,
        }
    }

    /// If the span is over, begins a new one and returns how many lines were left out in the old one.
    pub fn end_span(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) < SPAN {
            return None;
        }
        let left_out = self.take_left_out();
        *self = Self::new(now);
        left_out
    }

    /// Returns how many lines were left out and not yet reported, if any.
    pub fn take_left_out(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.left_out)).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_until_the_next_span() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for _ in 0..LINES {
            assert_eq!(budget.end_span(start), None);
            assert_eq!(budget.take(), Fate::Logged);
        }
        assert_eq!(budget.take(), Fate::FirstLeftOut);
        assert_eq!(budget.take(), Fate::LeftOut);
        assert_eq!(budget.end_span(start + SPAN / 2), None);
        assert_eq!(budget.take(), Fate::LeftOut);
        assert_eq!(budget.end_span(start + SPAN), Some(3));
        assert_eq!(budget.take(), Fate::Logged);
        assert_eq!(budget.take_left_out(), None);
    }
}
