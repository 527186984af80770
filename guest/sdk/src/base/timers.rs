//! What is to be done at which time.

use super::source::{Interest, Source};
use super::timer::Alarm;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock::{self, Instant};
use wasi::io::poll::Pollable;

/// When, and the how-manieth: no two have the same.
pub type TimerKey = (Instant, u64);

/// What happens when the time has come.
pub enum Task {
    /// The loop ends.
    Exit,
    /// A closure is called.
    Alarm(Rc<Alarm>),
    /// A connection is told that it has waited for long enough.
    Timeout(Weak<dyn Source>, Interest),
}

#[derive(Default)]
pub struct Timers {
    tasks: BTreeMap<TimerKey, Task>,
    count: u64,
    /// What the loop waits for: the first of them.
    pollable: Option<(Instant, Pollable)>,
}

impl Timers {
    pub fn add(&mut self, at: Instant, task: Task) -> TimerKey {
        self.count += 1;
        let key = (at, self.count);
        self.tasks.insert(key, task);
        key
    }

    pub fn remove(&mut self, key: TimerKey) -> Option<Task> {
        self.tasks.remove(&key)
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The number of the one that was added last.
    pub fn last(&self) -> u64 {
        self.count
    }

    /// Take one that is due, but none that was added after number `last`: one for no time at all
    /// that adds the next one must not keep the loop from everything else.
    pub fn take_due(&mut self, now: Instant, last: u64) -> Option<Task> {
        let mut due = self.tasks.range(..=(now, u64::MAX));
        let (key, _) = due.find(|((_, number), _)| *number <= last)?;
        let key = *key;
        self.tasks.remove(&key)
    }

    /// Ready when the first of them is due. Made anew only when that has changed.
    pub fn pollable(&mut self) -> Option<&Pollable> {
        let first = self.tasks.keys().next().map(|(at, _)| *at);
        if self.pollable.as_ref().map(|(at, _)| *at) != first {
            self.pollable = first.map(|at| (at, monotonic_clock::subscribe_instant(at)));
        }
        self.pollable.as_ref().map(|(_, pollable)| pollable)
    }

    pub fn take_all(&mut self) -> BTreeMap<TimerKey, Task> {
        self.pollable = None;
        std::mem::take(&mut self.tasks)
    }
}

/// The clock's unit. What does not fit is for ever.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
