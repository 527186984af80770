//! A connected socket's bytes as they are: without waiting, and waiting apart.

use rustix::net::{RecvFlags, Shutdown};
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Do the same with whichever kind of socket it is.
macro_rules! with {
    ($plain:expr, $stream:ident => $action:expr) => {
        match $plain {
            Plain::Tcp($stream) => $action,
            #[cfg(unix)]
            Plain::Unix($stream) => $action,
        }
    };
}

impl Plain {
    /// Whether it has no address that says anything about who the peer is.
    pub(crate) fn is_unix(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// Receive what is there, up to the size of the buffer: at the start of which it then is. 0: the
    /// peer has ended its side. `WouldBlock`: nothing is there.
    pub fn try_recv(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        with!(self, stream => stream.try_io(Interest::READABLE, || {
            let ((received, _), _) = rustix::net::recv(stream, &mut *buffer, RecvFlags::empty())?;
            Ok(received.len())
        }))
    }

    /// Send as much as the kernel takes. `WouldBlock`: it takes nothing.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_write(bytes))
    }

    /// The same for several pieces.
    pub fn try_send_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        with!(self, stream => stream.try_write_vectored(pieces))
    }

    /// Wait until a receive may find something. One task can wait at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, stream => stream.poll_read_ready(cx))
    }

    /// Wait until a send may succeed. One task can wait at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, stream => stream.poll_write_ready(cx))
    }

    /// Wait until a send may succeed, also while another task does.
    pub async fn writable(&self) -> io::Result<()> {
        with!(self, stream => stream.writable().await)
    }

    /// End one or both directions.
    pub fn shutdown(&self, how: Shutdown) {
        let result = with!(self, stream => rustix::net::shutdown(stream, how));
        if let Err(error) = result {
            tracing::trace!("shutdown: {error}");
        }
    }
}
