//! The sudden death of a process, at any store to the shared memory.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    /// After how many stores this thread dies.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

struct Died;

/// Called before each store.
pub fn step() {
    match LEFT.get() {
        None => {}
        // Nothing is printed about it.
        Some(0) => resume_unwind(Box::new(Died)),
        Some(left) => LEFT.set(Some(left - 1)),
    }
}

/// Runs a part of a process that dies after so many stores. Returns None if it did.
pub fn after<T>(stores: Option<u32>, part: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(stores);
    let outcome = catch_unwind(AssertUnwindSafe(part));
    LEFT.set(None);
    match outcome {
        Ok(value) => Some(value),
        Err(panic) if panic.is::<Died>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

#[test]
fn it_comes_after_so_many_stores() {
    let stores = Cell::new(0);
    let store = || {
        step();
        stores.set(stores.get() + 1);
    };
    let three = || (0..3).for_each(|_| store());
    assert_eq!(after(Some(2), three), None);
    assert_eq!(stores.take(), 2);
    assert_eq!(after(Some(3), three), Some(()));
    assert_eq!(after(None, three), Some(()));
}
