//! The pollable of one stream.

use crate::base::{Core, Interest, Source};
use crate::slab::Key;
use std::cell::Cell;
use std::rc::Weak;
use wasi::io::poll::Pollable;

/// The pollable of one stream of a watched connection. The event base has it while the watch is enabled;
/// otherwise it is here. A direction that is not watched has none.
pub struct Subscription {
    idle: Cell<Option<Pollable>>,
    registered: Cell<Option<Key>>,
}

impl Subscription {
    pub fn new(pollable: Option<Pollable>) -> Self {
        Self {
            idle: Cell::new(pollable),
            registered: Cell::new(None),
        }
    }

    pub fn register(&self, core: &Core, source: Weak<dyn Source>, interest: Interest) {
        if let Some(pollable) = self.idle.take() {
            let key = core.register(pollable, source, interest);
            self.registered.set(Some(key));
        }
    }

    pub fn deregister(&self, core: &Core) {
        if let Some(key) = self.registered.take() {
            self.idle.set(core.take_pollable(key));
        }
    }

    /// Returns the key of the pollable in the event base, if it is registered.
    pub fn key(&self) -> Option<Key> {
        self.registered.get()
    }

    /// Drops the pollable, which is not registered, so that the stream can be dropped.
    pub fn close(&self) {
        let idle = self.idle.take();
        drop(idle);
    }
}
