//! The count of a listener's connections.

use super::Inner;
use std::rc::{Rc, Weak};

/// Who counts. A trait, so that a program which has connections and no listener does not import one.
pub(super) trait Counter {
    /// One less.
    fn released(self: Rc<Self>);
}

/// One of the connections of a listener that are open. The listener learns when it is dropped.
pub struct Permit(Weak<dyn Counter>);

impl Permit {
    pub(super) fn new(listener: &Rc<Inner>) -> Self {
        listener.open.set(listener.open.get() + 1);
        let counter: Weak<Inner> = Rc::downgrade(listener);
        Self(counter)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(listener) = self.0.upgrade() {
            listener.released();
        }
    }
}
