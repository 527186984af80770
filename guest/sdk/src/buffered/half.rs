//! One half of a buffered connection: reading or writing.

use crate::base::{Core, IdleTimeout};
use crate::slab::Key;
use std::cell::Cell;

/// The read half or the write half of a buffered connection.
#[derive(Default)]
pub struct Half {
    pub enabled: Cell<bool>,
    /// The key of its pollable in the event base, while that is registered.
    pub registered: Cell<Option<Key>>,
    /// The low watermark, in bytes.
    pub low: Cell<usize>,
    /// The high watermark, in bytes. 0: none.
    pub high: Cell<usize>,
    pub timeout: IdleTimeout,
}

impl Half {
    /// Stops waiting, and the timeout.
    pub fn stop(&self, core: &Core) {
        self.timeout.stop(core);
        self.deregister(core);
    }

    pub fn deregister(&self, core: &Core) {
        if let Some(key) = self.registered.take() {
            core.deregister(key);
        }
    }
}
