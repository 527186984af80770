//! What a connection's bytes travel through.

use super::plain::Plain;
use rustix::net::Shutdown;
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};

#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Plain),
}

impl Transport {
    /// Receive what is there. 0: the peer has ended its side. `WouldBlock`: nothing is there.
    pub fn try_recv(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.try_recv(buffer),
        }
    }

    /// Whether a receive would find something, an end or an error.
    pub fn has_input(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.has_input(),
        }
    }

    /// Send as much as is taken. `WouldBlock`: nothing is.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.try_send(bytes),
        }
    }

    /// Wait until a receive may find something. One task can wait at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(plain) => plain.poll_readable(cx),
        }
    }

    /// Wait until a send may succeed. One task can wait at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(plain) => plain.poll_writable(cx),
        }
    }

    /// Wait until the kernel has all that was sent.
    pub fn poll_flush(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
        }
    }

    /// End one or both directions.
    pub fn shutdown(&self, how: Shutdown) {
        match self {
            Self::Plain(plain) => plain.shutdown(how),
        }
    }

    /// Make closing it a reset.
    pub fn reset_on_close(&self) {
        self.plain().reset_on_close();
    }

    /// For socket options.
    pub fn options(&self) -> SockRef<'_> {
        self.plain().options()
    }

    fn plain(&self) -> &Plain {
        match self {
            Self::Plain(plain) => plain,
        }
    }
}
