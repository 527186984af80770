//! Buffers that are used again: what is received goes through the same few of them, which are in the
//! processor's cache by then, and takes no memory of its own.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

/// How many buffers a thread keeps.
const KEPT: usize = 8;

/// So that one buffer does for most of what is received.
const SMALLEST: usize = 16 << 10;

/// Larger ones are not kept: this is memory that nobody uses.
const LARGEST: usize = 512 << 10;

/// What was received. A thread that [`keep`]s it uses it again, as soon as nobody else has it.
pub type Received = Arc<Vec<u8>>;

thread_local! {
    static BUFFERS: RefCell<Vec<Received>> = const { RefCell::new(Vec::new()) };
}

/// Fills a buffer with up to `size` bytes: `receive` writes them to the start of what it is given, and returns
/// how many they are.
pub fn fill(
    size: usize,
    receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Received> {
    let mut buffer = take(size);
    // Nobody else has it, so this copies nothing.
    let bytes = Arc::make_mut(&mut buffer);
    // Writes zeroes only beyond what the buffer held before.
    bytes.resize(size, 0);
    match receive(bytes) {
        Ok(count) => {
            assert!(count <= size, "more than the buffer takes was received");
            bytes.truncate(count);
            Ok(buffer)
        }
        Err(error) => {
            keep(buffer);
            Err(error)
        }
    }
}

/// A buffer of at least that capacity, that nobody else has.
fn take(capacity: usize) -> Received {
    let does =
        |buffer: &mut Received| buffer.capacity() >= capacity && Arc::strong_count(buffer) == 1;
    BUFFERS
        .with_borrow_mut(|kept| {
            // Mostly it is the last one.
            kept.pop_if(does).or_else(|| {
                let place = kept.iter_mut().rposition(does)?;
                Some(kept.remove(place))
            })
        })
        .unwrap_or_else(|| Arc::new(Vec::with_capacity(capacity.max(SMALLEST))))
}

/// Uses it again when nobody else has it any more.
pub fn keep(buffer: Received) {
    if buffer.capacity() <= LARGEST {
        BUFFERS.with_borrow_mut(|kept| {
            if kept.len() == KEPT {
                // The one that was not used for longest.
                kept.remove(0);
            }
            kept.push(buffer);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(size: usize) -> Received {
        let receive = |buffer: &mut [u8]| {
            buffer.fill(1);
            Ok(buffer.len())
        };
        let received = fill(size, receive).expect("filled");
        keep(Arc::clone(&received));
        received
    }

    #[test]
    fn a_buffer_is_used_again() {
        let first = filled(64 << 10);
        assert_eq!(first.len(), 64 << 10);
        let memory = first.as_ptr();
        drop(first);
        let again = filled(100);
        assert_eq!(again.as_ptr(), memory);
        assert_eq!(again[..], [1; 100]);
    }

    #[test]
    fn a_buffer_that_others_hold_is_left_to_them() {
        let held = filled(10);
        let other = filled(20);
        assert_ne!(held.as_ptr(), other.as_ptr());
        assert_eq!(held[..], [1; 10]);
    }

    #[test]
    fn nothing_is_left_of_what_was_received_before() {
        drop(filled(10));
        let failed = fill(10, |_| Err(io::Error::from(io::ErrorKind::WouldBlock)));
        assert!(failed.is_err());
        assert!(fill(10, |_| Ok(0)).expect("nothing").is_empty());
    }

    #[test]
    fn no_more_are_kept_than_are_useful() {
        let held: Vec<_> = (0..2 * KEPT).map(|_| filled(64 << 10)).collect();
        drop(filled(2 * LARGEST));
        drop(held);
        let sizes = BUFFERS.with_borrow(|kept| kept.iter().map(|b| b.capacity()).max());
        assert_eq!(BUFFERS.with_borrow(Vec::len), KEPT);
        assert!(sizes.is_some_and(|largest| largest <= LARGEST));
    }
}
