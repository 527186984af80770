//! A connected socket's bytes as they are: without waiting, and waiting apart.

use std::io;
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

    /// Read what is there. `WouldBlock` if nothing is, 0 at the end.
    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_read(buffer))
    }

    /// Write what the kernel takes. `WouldBlock` if it takes nothing.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_write(bytes))
    }

    /// The same for several pieces.
    pub(crate) fn try_send_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        with!(self, stream => stream.try_write_vectored(pieces))
    }

    /// Wait until `try_recv` may do something. An error is what `try_recv` will say.
    pub(crate) async fn readable(&self) {
        let _ = with!(self, stream => stream.readable().await);
    }

    /// Wait until `try_send` may do something. An error is what `try_send` will say.
    pub(crate) async fn writable(&self) {
        let _ = with!(self, stream => stream.writable().await);
    }

    /// Send the end of this side's bytes.
    pub(crate) fn shutdown_send(&self) -> io::Result<()> {
        Ok(with!(self, stream => rustix::net::shutdown(stream, rustix::net::Shutdown::Write))?)
    }
}
