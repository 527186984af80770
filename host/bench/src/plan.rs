//! How long and how often to measure.

use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Plan {
    /// How often each server is measured under each work, after a warm-up.
    pub rounds: u32,
    /// How often each server is measured in a round under the most important [works](Work::turns).
    pub turns: u32,
    /// The duration of a measurement, unless the duration itself is measured.
    pub duration: Duration,
}

pub const DEFAULT: Plan = Plan {
    rounds: 5,
    turns: 3,
    duration: Duration::from_millis(300),
};

pub const QUICK: Plan = Plan {
    rounds: 3,
    turns: 1,
    duration: Duration::from_millis(200),
};
