//! Buffers for what is received.

use std::mem::MaybeUninit;

/// A buffer that was initialised, as one that may not have been.
pub fn uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the layout is the same, and whoever has the result only writes bytes of a socket to
    // it: those are initialised.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}
