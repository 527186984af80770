//! A listening socket: accepts connections, and checks each peer against the policy.

use crate::connection::{Endpoint, Peer, UNIX_ADDRESS};
use crate::error::ErrorCode;
use crate::policy::{Policy, TcpCtx, Use};
use crate::sys::{self, Readiness, code_of_accept};
use crate::transport::Plain;
use rustix::io::Errno;
use socket2::{SockRef, Socket};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;

/// Maximum number of peers that one call refuses.
pub const REFUSED_AT_A_TIME: u32 = 64;

#[derive(Debug)]
pub struct Listening {
    /// Empty while nobody waits for connections.
    readiness: RwLock<Readiness>,
    socket: Arc<Socket>,
    is_unix: bool,
    /// Whose account its connections are charged to.
    ctx: TcpCtx,
}

impl Listening {
    /// Wraps a TCP socket that listens and never blocks. Requires a tokio runtime, whose event loop reports
    /// new connections.
    pub fn tcp(socket: impl Into<Socket>, ctx: &TcpCtx) -> io::Result<Self> {
        Self::new(socket.into(), false, ctx)
    }

    /// Does the same with a Unix socket.
    pub fn unix(socket: impl Into<Socket>, ctx: &TcpCtx) -> io::Result<Self> {
        Self::new(socket.into(), true, ctx)
    }

    fn new(socket: Socket, is_unix: bool, ctx: &TcpCtx) -> io::Result<Self> {
        let socket = Arc::new(socket);
        let readiness = Readiness::default();
        readiness.register(&socket)?;
        Ok(Self {
            readiness: RwLock::new(readiness),
            socket,
            is_unix,
            ctx: ctx.share(),
        })
    }

    /// Accepts a connection. Returns `Pending` if none waits, or if this task has used up its time slice.
    pub fn poll_accept(
        &self,
        policy: &Policy,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Endpoint, ErrorCode>> {
        for _ in 0..REFUSED_AT_A_TIME {
            let endpoint = match ready!(self.poll_accept_any(cx)) {
                Ok(endpoint) => endpoint,
                Err(error) => return Poll::Ready(Err(code_of_accept(&error))),
            };
            if let Some(endpoint) = self.admit(endpoint, policy) {
                return Poll::Ready(Ok(endpoint));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until the event loop reports that a connection waits, or an error, without accepting it.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.readiness().poll_readable(&self.socket, cx).map(drop)
    }

    /// Keeps the event loop from being woken by connections, until this socket is polled again.
    pub fn deregister(&self) {
        let readiness = self.readiness.write();
        *readiness.unwrap_or_else(PoisonError::into_inner) = Readiness::default();
    }

    fn readiness(&self) -> RwLockReadGuard<'_, Readiness> {
        // No code panics while it holds this lock.
        self.readiness
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a connection whose peer is allowed. Resets any other: the policy may log it.
    pub fn admit(&self, endpoint: Endpoint, policy: &Policy) -> Option<Endpoint> {
        if policy.allows(endpoint.peer_address(), Use::Accept) {
            return Some(endpoint);
        }
        let peer = Peer::of(&endpoint);
        tracing::debug!(%peer, "connection reset: the policy does not allow its peer");
        endpoint.reset();
        None
    }

    fn poll_accept_any(&self, cx: &mut Context<'_>) -> Poll<io::Result<Endpoint>> {
        // The event loop does not know of connections that have arrived while it was not asked.
        if !self.readiness().is_registered() {
            match self.accept_now() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Poll::Ready(accepted),
            }
        }
        loop {
            let readiness = self.readiness();
            ready!(readiness.poll_readable(&self.socket, cx))?;
            let accepted = readiness.try_io(&self.socket, Interest::READABLE, || self.accept_now());
            match accepted {
                // A Unix socket that another process drains: it counts as ready for ever, and nobody can connect.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if readiness.has_ended(&self.socket) {
                        return Poll::Pending;
                    }
                }
                accepted => return Poll::Ready(accepted),
            }
        }
    }

    /// Accepts a connection that waits in the kernel, whatever the event loop knows of it. Fails with
    /// `WouldBlock` if none waits.
    pub fn accept_now(&self) -> io::Result<Endpoint> {
        // As if the kernel had no descriptor left.
        let charge = self.ctx.charge_descriptor();
        let charge = charge.map_err(|_| io::Error::from(Errno::MFILE))?;
        let (socket, peer) = sys::accept(&self.socket)?;
        let endpoint = match self.is_unix {
            true => Endpoint::new(Plain::unix(socket), UNIX_ADDRESS),
            false => {
                let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
                Endpoint::new(Plain::tcp(socket), peer)
            }
        };
        Ok(endpoint.charged(self.ctx.account(), charge))
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self.is_unix {
            true => Ok(UNIX_ADDRESS),
            false => sys::local_address(&self.options()),
        }
    }

    /// Returns whether this is a Unix socket.
    pub fn is_unix(&self) -> bool {
        self.is_unix
    }

    /// Returns the socket, for its options.
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&*self.socket)
    }
}
