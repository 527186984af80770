//! Receiving while the edge is the only one that does: wait, then take what is there.

use crate::sockets::Plain;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;

/// Call `receive` until it does not block. One task can do so at a time.
pub(super) async fn when_ready(
    plain: &Plain,
    mut receive: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match receive() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|cx| plain.poll_readable(cx)).await?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A buffer that was initialised, as one that may not have been.
pub(super) fn uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the layout is the same, and whoever has the result only writes bytes of a socket to
    // it: those are initialised.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}
