//! One direction of a buffered connection: whether it is wanted, and for how long it may be quiet.

use crate::base::source::{Interest, Source};
use crate::base::{Core, TimerKey};
use crate::slab::Key;
use std::cell::Cell;
use std::rc::Weak;
use wasi::clocks::monotonic_clock::Instant;

#[derive(Default)]
pub struct Side {
    pub enabled: Cell<bool>,
    /// Its pollable, if the loop has it.
    pub wait: Cell<Option<Key>>,
    /// From here on its callback is called. For the output: down to here.
    pub low: Cell<usize>,
    /// With this many bytes, reading pauses. 0: it never does.
    pub high: Cell<usize>,
    /// How long it may be quiet, in nanoseconds.
    pub timeout: Cell<Option<u64>>,
    /// Whether something is expected to move now.
    active: Cell<bool>,
    /// When something last did.
    since: Cell<Instant>,
    timer: Cell<Option<TimerKey>>,
}

impl Side {
    /// Something has moved.
    pub fn touch(&self, core: &Core) {
        if self.timeout.get().is_some() {
            self.since.set(core.now());
        }
    }

    /// Say whether something is expected to move. The timer runs from when that begins; it is not
    /// moved each time something does, but looks at the time when it is due.
    pub fn set_active(
        &self,
        active: bool,
        core: &Core,
        source: &Weak<dyn Source>,
        interest: Interest,
    ) {
        let was_active = self.active.replace(active);
        let begins = active && !was_active;
        let Some(timeout) = self.timeout.get() else {
            return;
        };
        if begins {
            self.since.set(core.now());
        }
        if active && self.timer.get().is_none() {
            let at = self.since.get().saturating_add(timeout);
            let timer = core.add_timeout(at, source.clone(), interest);
            self.timer.set(Some(timer));
        }
    }

    /// The timer is due. Whether it has been quiet for long enough; if not, the timer is wanted again.
    pub fn has_timed_out(&self, core: &Core) -> bool {
        self.timer.set(None);
        let Some(timeout) = self.timeout.get() else {
            return false;
        };
        self.active.get() && core.now() >= self.since.get().saturating_add(timeout)
    }

    pub fn set_timeout(&self, core: &Core, timeout: Option<u64>) {
        self.stop_timer(core);
        self.timeout.set(timeout);
        self.active.set(false);
    }

    /// Wait for nothing.
    pub fn stop(&self, core: &Core) {
        self.stop_timer(core);
        self.stop_waiting(core);
        self.active.set(false);
    }

    pub fn stop_waiting(&self, core: &Core) {
        if let Some(wait) = self.wait.take() {
            core.unwait(wait);
        }
    }

    fn stop_timer(&self, core: &Core) {
        if let Some(timer) = self.timer.take() {
            core.remove_timeout(timer);
        }
    }
}
