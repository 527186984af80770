//! A closure that may be replaced or removed while it runs.

use std::cell::RefCell;
use std::rc::Rc;

/// An optional closure. While it runs, only the closure itself is borrowed. It is never called while it is
/// running, since only the loop calls it, and the loop does not nest.
pub struct Callback<F: ?Sized>(RefCell<Option<Rc<RefCell<F>>>>);

impl<F: ?Sized> Default for Callback<F> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<F: ?Sized> Callback<F> {
    pub fn set(&self, callback: Option<Rc<RefCell<F>>>) {
        let old = self.0.replace(callback);
        // Dropped after the replacement: its drop may call functions that use this callback.
        drop(old);
    }

    /// Returns the closure. The caller's reference keeps it alive until the call has returned, even if the
    /// closure is replaced meanwhile.
    pub fn get(&self) -> Option<Rc<RefCell<F>>> {
        self.0.borrow().clone()
    }

    pub fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }
}
