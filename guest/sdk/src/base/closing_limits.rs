//! The limits on connections that are being closed.

use super::timers::nanoseconds;
use std::cell::Cell;
use std::time::Duration;

/// The default linger time, in nanoseconds.
const DEFAULT_LINGER: u64 = 10_000_000_000;

const DEFAULT_MAX: usize = 1024;

/// The number of connections that are being closed, its maximum, and the linger time of each.
pub struct ClosingLimits {
    count: Cell<usize>,
    max: Cell<usize>,
    /// In nanoseconds. None: no limit.
    linger: Cell<Option<u64>>,
}

impl Default for ClosingLimits {
    fn default() -> Self {
        Self {
            count: Cell::new(0),
            max: Cell::new(DEFAULT_MAX),
            linger: Cell::new(Some(DEFAULT_LINGER)),
        }
    }
}

impl ClosingLimits {
    pub fn count(&self) -> usize {
        self.count.get()
    }

    pub fn is_reached(&self) -> bool {
        self.count.get() >= self.max.get()
    }

    pub fn increment(&self) {
        self.count.set(self.count.get() + 1);
    }

    pub fn decrement(&self) {
        self.count.set(self.count.get() - 1);
    }

    pub fn set_max(&self, max: usize) {
        self.max.set(max);
    }

    pub fn linger(&self) -> Option<u64> {
        self.linger.get()
    }

    pub fn set_linger(&self, time: Option<Duration>) {
        self.linger.set(time.map(nanoseconds));
    }
}
