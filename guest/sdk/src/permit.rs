//! The count of a listener's open connections.

use std::rc::{Rc, Weak};

/// Something that counts connections. A trait, so that a program which has connections and no listener
/// does not import a listener.
pub trait Counter {
    /// Called when a connection that counts is closed.
    fn released(self: Rc<Self>);
}

/// Counts one open connection of a listener. Dropping it tells the listener.
pub struct Permit(Weak<dyn Counter>);

impl Permit {
    pub fn new(counter: Weak<dyn Counter>) -> Self {
        Self(counter)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(counter) = self.0.upgrade() {
            counter.released();
        }
    }
}
