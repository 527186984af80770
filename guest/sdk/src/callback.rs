//! A place for a closure, which may be replaced or emptied while the closure runs.

use std::cell::RefCell;
use std::rc::Rc;

/// Nothing here is borrowed while the closure runs, but the closure itself: it cannot run twice at
/// a time, since the loop is the only one who calls it and does not nest.
pub struct Callback<F: ?Sized>(RefCell<Option<Rc<RefCell<F>>>>);

impl<F: ?Sized> Default for Callback<F> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<F: ?Sized> Callback<F> {
    pub fn set(&self, callback: Option<Rc<RefCell<F>>>) {
        let old = self.0.replace(callback);
        // It may own what calls back here when it is dropped.
        drop(old);
    }

    /// What is set now. It lives until its call is over, even if it is replaced meanwhile.
    pub fn get(&self) -> Option<Rc<RefCell<F>>> {
        self.0.borrow().clone()
    }

    pub fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }
}
