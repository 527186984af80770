//! Receiving while the ingress is the only one that does: wait, then take what is there.

use crate::sockets::Plain;
use std::future::poll_fn;
use std::io::{self, ErrorKind};

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
