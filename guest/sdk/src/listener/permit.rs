//! The count of a listener's connections.

use super::Inner;
use std::rc::{Rc, Weak};

/// One of the connections of a listener that are open. The listener learns when it is dropped.
pub struct Permit(Weak<Inner>);

impl Permit {
    pub(super) fn new(listener: &Rc<Inner>) -> Self {
        listener.open.set(listener.open.get() + 1);
        Self(Rc::downgrade(listener))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(listener) = self.0.upgrade() {
            listener.released();
        }
    }
}
