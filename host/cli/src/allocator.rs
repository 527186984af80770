//! The command's allocator: mimalloc. What one thread allocates for a connection, another mostly frees,
//! which the system's allocator is slow at.
//!
//! The crate `mimalloc` says what alignment it wants, always. For most sizes version 3 of the allocator
//! then takes a larger block, and puts what was asked for at an aligned place in it, though each of its
//! blocks is aligned as nearly everything in Rust wants it.

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};
use std::alloc::{GlobalAlloc, Layout};

pub struct Allocator;

/// The alignment of all blocks that are as large as that, or larger (`MI_MAX_ALIGN_SIZE`). Smaller ones
/// are aligned to the powers of two up to their size.
const ALIGNED: usize = 16;

fn is_aligned_anyway(layout: Layout) -> bool {
    layout.align() <= ALIGNED && layout.align() <= layout.size()
}

// SAFETY: these are an allocator's functions, and blocks have the alignment that was asked for.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size is allowed, and the alignment is a power of two.
        let block = unsafe {
            match is_aligned_anyway(layout) {
                true => mi_malloc(layout.size()),
                false => mi_malloc_aligned(layout.size(), layout.align()),
            }
        };
        block.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe {
            match is_aligned_anyway(layout) {
                true => mi_zalloc(layout.size()),
                false => mi_zalloc_aligned(layout.size(), layout.align()),
            }
        };
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller has it from here.
        unsafe { mi_free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has it from here, and the size fits the alignment.
        let block = unsafe {
            match layout.align() <= ALIGNED.min(size) {
                true => mi_realloc(block.cast(), size),
                false => mi_realloc_aligned(block.cast(), size, layout.align()),
            }
        };
        block.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_as_they_should_be() {
        for size in 1..512 {
            for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the size is not 0, and each block is given back with its own layout.
                unsafe {
                    let block = Allocator.alloc(layout);
                    assert!(!block.is_null());
                    assert!(block.addr().is_multiple_of(align), "{layout:?}");
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert!(zeroed.addr().is_multiple_of(align), "{layout:?}");
                    assert!(
                        std::slice::from_raw_parts(zeroed, size)
                            .iter()
                            .all(|b| *b == 0)
                    );
                    for new in [size / 2 + 1, 3 * size] {
                        let one = Allocator.alloc(layout);
                        let moved = Allocator.realloc(one, layout, new);
                        assert!(moved.addr().is_multiple_of(align), "{layout:?} to {new}");
                        let layout = Layout::from_size_align(new, align).expect("a layout");
                        Allocator.dealloc(moved, layout);
                    }
                    Allocator.dealloc(block, layout);
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
