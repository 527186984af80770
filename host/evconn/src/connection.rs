//! A connection in native hands: what a listener's callback gets.
//!
//! Where it ends: a connection that is for a service stays in [`Parts`] on its way there.

use crate::sockets::{Endpoint, PeerCredentials};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TCP connection that a listener accepted: bytes in, bytes out, and who the peer is.
///
/// It reads and writes as a [`tokio::net::TcpStream`] does. Dropping it closes it; the kernel goes on
/// sending what was written.
pub struct Connection {
    // The order matters: whoever waits for a free descriptor is told last.
    endpoint: Arc<Endpoint>,
    _on_release: OnRelease,
}

/// Calls a function whenever a clone of it is dropped.
#[derive(Clone)]
pub(crate) struct OnRelease(Arc<dyn Fn() + Send + Sync>);

impl OnRelease {
    pub fn new(function: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }
}

impl Drop for OnRelease {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What a connection consists of.
pub(crate) struct Parts {
    pub endpoint: Arc<Endpoint>,
    /// To be dropped when all else is.
    pub on_release: OnRelease,
}

impl Connection {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            endpoint: parts.endpoint,
            _on_release: parts.on_release,
        }
    }

    /// For what comes before the bytes that are the connection's.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The peer's address, as it was when the connection was accepted. Of a peer that came by a Unix
    /// socket it is port 0 of 127.0.0.1.
    pub fn peer_addr(&self) -> SocketAddr {
        self.endpoint.peer_address()
    }

    /// Who the peer is, if it came by a Unix socket.
    ///
    /// # Errors
    /// What the operating system says; none is expected.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        self.endpoint.peer_credentials()
    }

    /// The address on this side.
    ///
    /// # Errors
    /// What the operating system says; none is expected.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_address()
    }

    /// Close it with a reset: the peer is to know that it did not get all, or is not wanted.
    pub fn reset(self) {
        self.endpoint.reset();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer_addr", &self.peer_addr())
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.endpoint.try_recv(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.endpoint.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.endpoint.poll_send(cx, buf)
    }

    /// Waits until the kernel has every byte.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.endpoint.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.endpoint.poll_flush(cx))?;
        self.endpoint.end_sending();
        Poll::Ready(Ok(()))
    }
}
