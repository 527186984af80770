//! What the host makes the guest run: the host calls `cabi_realloc` for each list and string that it returns,
//! and a post-return function when it has read a result. Both end up in the allocator.

use crate::wasi::random::random::get_random_bytes;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering};

#[global_allocator]
static ALLOCATOR: Hostile = Hostile;

/// What the allocator does from now on.
static MOOD: AtomicU8 = AtomicU8::new(POLITE);

const POLITE: u8 = 0;
const SPIN_IN_ALLOC: u8 = 1;
const TRAP_IN_ALLOC: u8 = 2;
const SPIN_IN_DEALLOC: u8 = 3;
const TRAP_IN_DEALLOC: u8 = 4;

/// The size of an error, which nothing else has: what the guest frees itself comes before it.
const ERROR: usize = 4321;

struct Hostile;

// SAFETY: it is the system's allocator, unless it does not return at all.
unsafe impl GlobalAlloc for Hostile {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        misbehave(SPIN_IN_ALLOC, TRAP_IN_ALLOC);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.size() == ERROR {
            misbehave(SPIN_IN_DEALLOC, TRAP_IN_DEALLOC);
        }
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn misbehave(spin: u8, trap: u8) {
    match MOOD.load(Ordering::Relaxed) {
        mood if mood == spin => crate::compute::spin(),
        mood if mood == trap => crate::trap::trap(),
        _ => {}
    }
}

/// The host returns bytes, and does not get the memory for them.
pub fn in_realloc(how: How) -> Result<(), String> {
    MOOD.store(how.of(SPIN_IN_ALLOC, TRAP_IN_ALLOC), Ordering::Relaxed);
    Err(format!("{} bytes were returned", get_random_bytes(8).len()))
}

/// The host has read this error, and lets the guest free it.
pub fn in_post_return(how: How) -> Result<(), String> {
    let error = "x".repeat(ERROR);
    MOOD.store(how.of(SPIN_IN_DEALLOC, TRAP_IN_DEALLOC), Ordering::Relaxed);
    Err(error)
}

#[derive(Clone, Copy)]
pub enum How {
    Spin,
    Trap,
}

impl How {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "spin" => Some(Self::Spin),
            "trap" => Some(Self::Trap),
            _ => None,
        }
    }

    const fn of(self, spin: u8, trap: u8) -> u8 {
        match self {
            Self::Spin => spin,
            Self::Trap => trap,
        }
    }
}
