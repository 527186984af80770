//! Buffers that are used again: reading a connection in large pieces would otherwise take and return
//! as much memory for each one.

use bytes::{Bytes, BytesMut};
use std::cell::RefCell;

/// How many buffers a thread keeps.
const KEPT: usize = 8;

/// Smaller ones are as cheap to get from the allocator.
const SMALLEST: usize = 8 << 10;

/// Larger ones are not kept: this is memory that nobody uses.
const LARGEST: usize = 512 << 10;

thread_local! {
    static FREE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer of at least that capacity. Its memory is not cleared.
pub(super) fn take(capacity: usize) -> BytesMut {
    let recycled = (capacity >= SMALLEST)
        .then(|| FREE.with_borrow_mut(|free| free.pop_if(|buffer| buffer.capacity() >= capacity)))
        .flatten();
    recycled.unwrap_or_else(|| BytesMut::with_capacity(capacity))
}

/// Give a buffer back that is no longer needed. Nothing is done if others still hold a part of it.
pub(super) fn give(bytes: Bytes) {
    // What was cut off at the front is lost with this, so only whole ones are worth it.
    if bytes.len() >= SMALLEST / 2
        && let Ok(buffer) = bytes.try_into_mut()
    {
        give_mut(buffer);
    }
}

pub(super) fn give_mut(mut buffer: BytesMut) {
    buffer.clear();
    if (SMALLEST..=LARGEST).contains(&buffer.capacity()) {
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let mut buffer = take(64 << 10);
        buffer.extend_from_slice(&[1; 32 << 10]);
        let memory = buffer.as_ptr();
        give(buffer.freeze());
        let again = take(64 << 10);
        assert_eq!(again.as_ptr(), memory);
        assert!(again.is_empty());
    }

    #[test]
    fn a_buffer_that_others_hold_is_left_to_them() {
        let mut buffer = take(64 << 10);
        buffer.extend_from_slice(&[1; 64 << 10]);
        let bytes = buffer.freeze();
        let held = bytes.slice(..10);
        give(bytes);
        assert_eq!(&held[..], &[1; 10]);
    }

    #[test]
    fn no_more_are_kept_than_are_useful() {
        for _ in 0..2 * KEPT {
            give_mut(BytesMut::with_capacity(64 << 10));
        }
        give_mut(BytesMut::with_capacity(2 * LARGEST));
        assert_eq!(FREE.with_borrow(Vec::len), KEPT);
    }
}
