//! The durations of operations that are repeated until a deadline.

use std::time::Instant;

pub struct Laps {
    deadline: Instant,
    last: Instant,
    times: Vec<u32>,
}

impl Laps {
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            last: Instant::now(),
            times: Vec::new(),
        }
    }

    /// Returns whether there is time for another operation.
    pub fn go_on(&self) -> bool {
        self.last < self.deadline
    }

    /// Records the end of an operation.
    pub fn lap(&mut self) {
        let now = Instant::now();
        let time = (now - self.last).as_nanos();
        // Up to 4 s; a longer measurement would fail before.
        self.times.push(u32::try_from(time).unwrap_or(u32::MAX));
        self.last = now;
    }

    /// Returns the times, in nanoseconds.
    pub fn times(self) -> Vec<u32> {
        self.times
    }
}
