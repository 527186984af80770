//! How long it is measured, and how often.

use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Plan {
    /// How many times each server is measured under each work, after a warm-up.
    pub rounds: u32,
    /// How many turns each of them has in a round under those [works](Work::turns) that tell the most.
    pub turns: u32,
    /// How long each time, where the time is not what is measured.
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
