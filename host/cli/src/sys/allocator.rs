//! Memory that runs out in a process with a limit of its own.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status of a process that has reached its limit of memory: `EX_OSERR` of sysexits.h, which nothing
/// else here uses.
pub const OUT_OF_MEMORY: i32 = 71;

static HAS_LIMIT: AtomicBool = AtomicBool::new(false);

/// From now on, a failed allocation ends this process with [`OUT_OF_MEMORY`]. Otherwise the standard library
/// prints a message and aborts, and its caller can only guess the reason.
pub fn exit_when_out_of_memory() {
    HAS_LIMIT.store(true, Ordering::Relaxed);
}

/// An allocator whose failures are noticed.
pub struct Watched<A>(pub A);

#[allow(unsafe_code, reason = "an allocator")]
// SAFETY: all is passed on to another allocator, with its contract.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Watched<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller guarantees it.
        checked(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller guarantees it.
        checked(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees it.
        checked(unsafe { self.0.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller guarantees it.
        unsafe { self.0.dealloc(memory, layout) }
    }
}

fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null() && HAS_LIMIT.load(Ordering::Relaxed) {
        exit();
    }
    memory
}

#[cold]
#[allow(unsafe_code, reason = "no destructor may run: it could allocate")]
fn exit() -> ! {
    // SAFETY: it ends the process.
    unsafe { libc::_exit(OUT_OF_MEMORY) }
}
