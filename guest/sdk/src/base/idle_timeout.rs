//! The timeout of something that is idle.

use super::core::{Core, Interest, Source};
use super::timers::TimerKey;
use std::cell::Cell;
use std::rc::Weak;
use wasi::clocks::monotonic_clock::Instant;

/// A timeout that restarts whenever bytes are transferred. A restart sets no timer: the one that exists
/// compares the times when it is due.
#[derive(Default)]
pub struct IdleTimeout {
    /// In nanoseconds. None: no timeout.
    timeout: Cell<Option<u64>>,
    /// Whether the time counts now.
    active: Cell<bool>,
    /// When the time last began.
    since: Cell<Instant>,
    timer: Cell<Option<TimerKey>>,
}

impl IdleTimeout {
    /// Begins the time anew.
    pub fn restart(&self, core: &Core) {
        if self.timeout.get().is_some() {
            self.since.set(core.now());
        }
    }

    /// Sets whether the time counts. It begins when this changes from false to true. When the timer is
    /// due, `source` is called with `interest`, and then calls [`has_expired`](Self::has_expired).
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

    /// Returns whether the timeout has passed, now that its timer is due. The next
    /// [`set_active`](Self::set_active) sets the timer again; if the timeout has passed, the time begins
    /// anew then.
    pub fn has_expired(&self, core: &Core) -> bool {
        self.timer.set(None);
        let Some(timeout) = self.timeout.get() else {
            return false;
        };
        let is_over = core.now() >= self.since.get().saturating_add(timeout);
        match self.active.get() && is_over {
            true => self.active.replace(false),
            false => false,
        }
    }

    /// Sets another timeout. It is inactive until the next [`set_active`](Self::set_active).
    pub fn set_timeout(&self, core: &Core, timeout: Option<u64>) {
        self.stop(core);
        self.timeout.set(timeout);
    }

    /// Removes the timer, and makes the timeout inactive.
    pub fn stop(&self, core: &Core) {
        if let Some(timer) = self.timer.take() {
            core.remove_timer(timer);
        }
        self.active.set(false);
    }
}
