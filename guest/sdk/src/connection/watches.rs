//! The watches of a connection.

use std::cell::RefCell;
use std::rc::Weak;

/// Something that waits for a connection.
pub trait Watcher {
    /// Called when the connection is dropped: the watcher's pollables are children of its streams.
    fn end(&self);

    /// Called when the connection was written to, with whether it has accepted any bytes.
    fn written(&self, accepted: bool);
}

/// The watches of one connection.
#[derive(Default)]
pub struct Watches(RefCell<Vec<Weak<dyn Watcher>>>);

impl Watches {
    pub fn add(&self, watch: Weak<dyn Watcher>) {
        let mut watches = self.0.borrow_mut();
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(watch);
    }

    pub fn end(&self) {
        for watch in self.0.take() {
            if let Some(watch) = watch.upgrade() {
                watch.end();
            }
        }
    }

    pub fn written(&self, accepted: bool) {
        for watch in self.0.borrow().iter().filter_map(Weak::upgrade) {
            watch.written(accepted);
        }
    }
}
