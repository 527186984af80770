//! One direction of a watch.

use crate::base::Core;
use crate::base::source::{Interest, Source};
use crate::slab::Key;
use std::cell::Cell;
use std::rc::Weak;
use wasi::io::poll::Pollable;

/// The pollable of a stream: in the loop's list while it is waited for, and here otherwise. There is
/// none if the direction is not watched.
pub struct Lane {
    idle: Cell<Option<Pollable>>,
    wait: Cell<Option<Key>>,
}

impl Lane {
    pub fn new(pollable: Option<Pollable>) -> Self {
        Self {
            idle: Cell::new(pollable),
            wait: Cell::new(None),
        }
    }

    pub fn enter(&self, core: &Core, source: Weak<dyn Source>, interest: Interest) {
        if let Some(pollable) = self.idle.take() {
            let wait = core.wait(pollable, source, interest);
            self.wait.set(Some(wait));
        }
    }

    pub fn leave(&self, core: &Core) {
        if let Some(wait) = self.wait.take() {
            self.idle.set(core.reclaim(wait));
        }
    }

    /// Of its pollable among those that are waited for.
    pub fn wait(&self) -> Option<Key> {
        self.wait.get()
    }

    /// Drop the pollable, which is not waited for: what it is a child of can go.
    pub fn close(&self) {
        let idle = self.idle.take();
        drop(idle);
    }
}
