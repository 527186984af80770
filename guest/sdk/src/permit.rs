//! The count of a listener's connections.

use std::rc::{Rc, Weak};

/// Who counts. A trait, so that a program which has connections and no listener does not import one.
pub trait Counter {
    /// One less.
    fn released(self: Rc<Self>);
}

/// One of the connections of a listener that are open. The listener learns when it is dropped.
pub struct Permit(Weak<dyn Counter>);

impl Permit {
    pub fn new(counter: Weak<dyn Counter>) -> Self {
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
