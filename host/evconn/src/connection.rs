//! The connection that a listener's native callback gets.
//!
//! A connection that is served by a service is passed as [`Parts`] instead.

use crate::sockets::{Endpoint, PeerCredentials};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An accepted TCP connection.
///
/// It implements [`AsyncRead`] and [`AsyncWrite`] like [`tokio::net::TcpStream`]. Dropping it closes it;
/// the kernel still sends what was written.
pub struct Connection {
    // The order matters: the descriptor is closed before the listener is told that one is free.
    endpoint: Arc<Endpoint>,
    _on_release: OnRelease,
}

/// Calls a function whenever a clone is dropped.
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

/// The parts of a connection.
pub(crate) struct Parts {
    pub endpoint: Arc<Endpoint>,
    /// Dropped after everything else.
    pub on_release: OnRelease,
}

impl Connection {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            endpoint: parts.endpoint,
            _on_release: parts.on_release,
        }
    }

    /// Returns the endpoint, on which the ingress works.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Returns the peer's address, as of when the connection was accepted. For a peer of a Unix socket it
    /// is port 0 of 127.0.0.1.
    pub fn peer_addr(&self) -> SocketAddr {
        self.endpoint.peer_address()
    }

    /// Returns the credentials of the peer of a Unix socket, or None for TCP.
    ///
    /// # Errors
    /// The operating system's error; none is expected.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        self.endpoint.peer_credentials()
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// The operating system's error; none is expected.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_address()
    }

    /// Resets the connection, so that the peer knows that it has not received everything, or is not
    /// welcome.
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

    /// Waits until the kernel has taken every byte.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.endpoint.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.endpoint.poll_flush(cx))?;
        self.endpoint.end_sending();
        Poll::Ready(Ok(()))
    }
}
