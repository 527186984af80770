//! Tasks with the times at which they are due.

use std::collections::BTreeMap;
use std::time::Duration;
use wasi::clocks::monotonic_clock::{self, Instant};
use wasi::io::poll::Pollable;

/// The time at which a timer is due, and its serial number, which makes the key unique.
pub type TimerKey = (Instant, u64);

/// Timers, each with a task `T`.
pub struct Timers<T> {
    tasks: BTreeMap<TimerKey, T>,
    /// How many were added so far: the serial number of the last one.
    count: u64,
    /// The pollable of the first timer.
    pollable: Option<(Instant, Pollable)>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            tasks: BTreeMap::new(),
            count: 0,
            pollable: None,
        }
    }
}

impl<T> Timers<T> {
    pub fn add(&mut self, at: Instant, task: T) -> TimerKey {
        self.count += 1;
        let key = (at, self.count);
        self.tasks.insert(key, task);
        key
    }

    pub fn remove(&mut self, key: TimerKey) -> Option<T> {
        self.tasks.remove(&key)
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns the serial number of the timer that was added last.
    pub fn last(&self) -> u64 {
        self.count
    }

    /// Takes a timer that is due, but none that was added after the one with serial number `last`: a
    /// timer with no delay that adds another one must not keep the loop from everything else.
    pub fn take_due(&mut self, now: Instant, last: u64) -> Option<T> {
        let mut due = self.tasks.range(..=(now, u64::MAX));
        let (key, _) = due.find(|((_, number), _)| *number <= last)?;
        let key = *key;
        self.tasks.remove(&key)
    }

    /// Returns a pollable that is ready when the first timer is due. A new one is made only when the first
    /// timer has changed.
    pub fn pollable(&mut self) -> Option<&Pollable> {
        let first = self.tasks.keys().next().map(|(at, _)| *at);
        if self.pollable.as_ref().map(|(at, _)| *at) != first {
            self.pollable = first.map(|at| (at, monotonic_clock::subscribe_instant(at)));
        }
        self.pollable.as_ref().map(|(_, pollable)| pollable)
    }

    pub fn take_all(&mut self) -> BTreeMap<TimerKey, T> {
        self.pollable = None;
        std::mem::take(&mut self.tasks)
    }
}

/// Converts to the unit of WASI's clock. A duration that does not fit becomes the longest one.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
