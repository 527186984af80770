//! One direction of a buffered connection: whether it is wanted, and for how long it may be quiet.

use crate::base::{Core, Patience};
use crate::slab::Key;
use std::cell::Cell;

#[derive(Default)]
pub struct Side {
    pub enabled: Cell<bool>,
    /// Its pollable, if the loop has it.
    pub wait: Cell<Option<Key>>,
    /// From here on its callback is called. For the output: down to here.
    pub low: Cell<usize>,
    /// With this many bytes, reading pauses. 0: it never does.
    pub high: Cell<usize>,
    pub patience: Patience,
}

impl Side {
    /// Wait for nothing.
    pub fn stop(&self, core: &Core) {
        self.patience.stop(core);
        self.stop_waiting(core);
    }

    pub fn stop_waiting(&self, core: &Core) {
        if let Some(wait) = self.wait.take() {
            core.unwait(wait);
        }
    }
}
