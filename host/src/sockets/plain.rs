//! A connected stream socket of the operating system, TCP or Unix, that never blocks.

use crate::PeerCredentials;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Whether a read or a write that does less than it could shows that the socket has no more to give
/// or to take, so that the next attempt need not ask the kernel. With epoll and kqueue it does
/// (epoll(7), "Questions and answers", 9).
const SHORT_MEANS_DONE: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "ios",
    target_os = "macos",
));

#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Plain {
    /// Receive what is there, up to the size of the buffer: at the start of which it then is. 0: the
    /// peer has ended its side. `WouldBlock`: nothing is there.
    pub fn try_recv(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        let capacity = buffer.len();
        self.try_io(Interest::READABLE, capacity, || {
            self.recv(buffer, RecvFlags::empty())
        })
    }

    /// Whether a receive would find bytes or an end. An error is said here or there, not twice: the
    /// kernel forgets it.
    pub fn has_input(&self) -> io::Result<bool> {
        let mut byte = [MaybeUninit::uninit()];
        let looked = self.try_io(Interest::READABLE, 0, || {
            self.recv(&mut byte, RecvFlags::PEEK).map(|_| 0)
        });
        match looked {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Send as much as the kernel takes. `WouldBlock`: it takes nothing.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, bytes.len(), || self.send(bytes))
    }

    /// The same for several pieces.
    #[cfg(all(unix, feature = "tls"))]
    pub fn try_send_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        use rustix::net::{SendAncillaryBuffer, sendmsg};
        let possible = pieces.iter().map(|piece| piece.len()).sum();
        self.try_io(Interest::WRITABLE, possible, || {
            let mut nothing = SendAncillaryBuffer::default();
            Ok(match self {
                Self::Tcp(stream) => sendmsg(stream, pieces, &mut nothing, SendFlags::NOSIGNAL),
                Self::Unix(stream) => sendmsg(stream, pieces, &mut nothing, SendFlags::NOSIGNAL),
            }?)
        })
    }

    /// Wait until a receive may find something. One task can wait at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Wait until a send may succeed. One task can wait at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Wait until a send may succeed, also while other tasks do.
    #[cfg(feature = "tls")]
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            #[cfg(unix)]
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Whether it is a Unix socket, whose peer has no address that says who it is.
    pub fn is_unix(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// End one or both directions. The peer of one that has ended already is gone, which is no error.
    pub fn shutdown(&self, how: Shutdown) {
        let result = match self {
            Self::Tcp(stream) => rustix::net::shutdown(stream, how),
            #[cfg(unix)]
            Self::Unix(stream) => rustix::net::shutdown(stream, how),
        };
        if let Err(error) = result {
            tracing::trace!("shutdown: {error}");
        }
    }

    /// Make closing it a reset: what is unsent is dropped, and the peer sees an error, not an end. A
    /// Unix socket has no such thing: it just closes.
    pub fn reset_on_close(&self) {
        if let Err(error) = self.options().set_linger(Some(Duration::ZERO)) {
            tracing::debug!("a connection cannot be reset: {error}");
        }
    }

    /// Who the peer of a Unix socket is. Of TCP nothing more is known than the address.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        match self {
            Self::Tcp(_) => Ok(None),
            #[cfg(unix)]
            Self::Unix(stream) => PeerCredentials::of(stream).map(Some),
        }
    }

    /// For socket options.
    pub fn options(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    fn recv(&self, buffer: &mut [MaybeUninit<u8>], flags: RecvFlags) -> io::Result<usize> {
        let (_, count) = match self {
            Self::Tcp(stream) => rustix::net::recv(stream, buffer, flags),
            #[cfg(unix)]
            Self::Unix(stream) => rustix::net::recv(stream, buffer, flags),
        }?;
        Ok(count)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        // A program that embeds this may not ignore SIGPIPE, as Rust's own do.
        #[cfg(unix)]
        let flags = SendFlags::NOSIGNAL;
        #[cfg(not(unix))]
        let flags = SendFlags::empty();
        Ok(match self {
            Self::Tcp(stream) => rustix::net::send(stream, bytes, flags),
            #[cfg(unix)]
            Self::Unix(stream) => rustix::net::send(stream, bytes, flags),
        }?)
    }

    /// Do something if the socket counts as ready for it. If it would block, or comes to less than
    /// `possible`, the socket counts as ready no more until the kernel says so.
    fn try_io(
        &self,
        interest: Interest,
        possible: usize,
        mut io: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut short = None;
        let attempt = || {
            let count = io()?;
            if SHORT_MEANS_DONE && 0 < count && count < possible {
                short = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        };
        let result = match self {
            Self::Tcp(stream) => stream.try_io(interest, attempt),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_io(interest, attempt),
        };
        short.map_or(result, Ok)
    }
}
