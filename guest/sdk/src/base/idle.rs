//! How long something may be quiet.

use super::source::{Interest, Source};
use super::{Core, TimerKey};
use std::cell::Cell;
use std::rc::Weak;
use wasi::clocks::monotonic_clock::Instant;

/// A timeout that begins anew each time something moves. That costs no timer: the one that there is
/// looks at the time when it is due.
#[derive(Default)]
pub struct Patience {
    /// In nanoseconds. None: for ever.
    timeout: Cell<Option<u64>>,
    /// Whether something is expected to move now.
    active: Cell<bool>,
    /// When something last did.
    since: Cell<Instant>,
    timer: Cell<Option<TimerKey>>,
}

impl Patience {
    /// Something has moved.
    pub fn touch(&self, core: &Core) {
        if self.timeout.get().is_some() {
            self.since.set(core.now());
        }
    }

    /// Say whether something is expected to move. The time runs from when that begins. When it is over,
    /// `source` is told of `interest`, and asks whether it [has timed out](Self::has_timed_out).
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

    /// The timer is due. Whether it has been quiet for long enough. Whatever it was, the next
    /// [`set_active`](Self::set_active) makes the timer anew; and if it has, the time begins anew.
    pub fn has_timed_out(&self, core: &Core) -> bool {
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

    /// Have another timeout. It is not active until [`set_active`](Self::set_active) says so.
    pub fn set_timeout(&self, core: &Core, timeout: Option<u64>) {
        self.stop(core);
        self.timeout.set(timeout);
    }

    /// Nothing is expected any more.
    pub fn stop(&self, core: &Core) {
        if let Some(timer) = self.timer.take() {
            core.remove_timeout(timer);
        }
        self.active.set(false);
    }
}
