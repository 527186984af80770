//! Memory. One instruction fills or copies as much as there is, and nothing interrupts it.

use std::arch::wasm32::memory_grow;
use std::hint::black_box;

const MIB: usize = 1 << 20;

/// Fills so many MiB, again and again.
pub fn fill(mib: usize) -> ! {
    let mut memory = vec![0; mib * MIB];
    let mut byte = 0_u8;
    loop {
        byte = byte.wrapping_add(1);
        black_box(&mut memory).fill(byte);
    }
}

/// Copies so many MiB, again and again: half of them is the source.
pub fn copy(mib: usize) -> ! {
    let mut memory = vec![1_u8; mib * MIB];
    let half = memory.len() / 2;
    loop {
        black_box(&mut memory).copy_within(..half, half);
    }
}

/// Grows by a page at a time and touches each, as far as it may. Then the instance ends, and all of it
/// has to be given back.
pub fn grow() -> Result<(), String> {
    const PAGE: usize = 64 << 10;
    let mut pages = 0;
    loop {
        let before = memory_grow::<0>(1);
        if before == usize::MAX {
            return Err(format!("it has grown by {pages} pages"));
        }
        pages += 1;
        // SAFETY: the page has just been added to the memory, and nothing else is in it.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(before * PAGE).write_volatile(1) };
    }
}
