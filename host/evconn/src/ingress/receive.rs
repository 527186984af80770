//! Reads from a connection while the ingress is its only reader: waits, then reads what has arrived.

use crate::sockets::Plain;
use std::future::poll_fn;
use std::io::{self, ErrorKind};

/// Calls `receive` until it does not return `WouldBlock`. Only one task may do so at a time.
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
