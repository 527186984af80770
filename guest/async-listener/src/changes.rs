//! How calls that change a listener wake the one that waits for its events.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

/// Whether a listener was changed by a call.
#[derive(Default)]
pub struct Changes {
    has_changed: Cell<bool>,
    /// Who waits, in another task.
    waker: RefCell<Option<Waker>>,
}

impl Changes {
    /// Records a change, and wakes who waits for it.
    pub fn notify(&self) {
        self.has_changed.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Forgets the changes until now.
    pub fn forget(&self) {
        self.has_changed.set(false);
    }

    /// Returns whether there was a change. If there was none, the next one wakes the caller.
    pub fn poll(&self, cx: &mut Context<'_>) -> bool {
        self.waker.replace(Some(cx.waker().clone()));
        self.has_changed.get()
    }
}
