//! A listening socket: it accepts, asks the policy about each peer, and says when there is one.

use crate::Endpoint;
use crate::connection::peer::Peer;
use crate::policy::address;
use crate::policy::rule::{Policy, Use};
use crate::socket::option;
use crate::sys::errno::code_of_accept;
use crate::sys::readiness::Readiness;
use crate::transport::plain::Plain;
use socket2::{SockRef, Socket};
use std::io;
#[cfg(unix)]
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

/// What a guest is told of either side of a Unix socket: it knows of no other addresses.
#[cfg(unix)]
const UNIX_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How many peers that are not allowed are reset in one go.
pub(crate) const REFUSED_AT_A_TIME: u32 = 64;

#[derive(Debug)]
pub(crate) struct Listening {
    readiness: Readiness,
    socket: Arc<Socket>,
    is_unix: bool,
}

impl Listening {
    /// A TCP socket that listens and never blocks. To be called within a tokio runtime: its event loop
    /// says when there is somebody.
    pub fn tcp(socket: impl Into<Socket>) -> io::Result<Self> {
        Self::new(socket.into(), false)
    }

    /// A Unix socket, likewise.
    #[cfg(unix)]
    pub fn unix(socket: impl Into<Socket>) -> io::Result<Self> {
        Self::new(socket.into(), true)
    }

    fn new(socket: Socket, is_unix: bool) -> io::Result<Self> {
        let socket = Arc::new(socket);
        let readiness = Readiness::default();
        readiness.register(&socket)?;
        Ok(Self {
            readiness,
            socket,
            is_unix,
        })
    }

    /// Accept a connection. Pending: none waits, or this task has had enough for now.
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

    /// Reset a connection whose peer is not allowed, and say so.
    pub fn admit(&self, endpoint: Endpoint, policy: &Policy) -> Option<Endpoint> {
        if policy.allows(endpoint.peer_address(), Use::Accept) {
            return Some(endpoint);
        }
        let peer = Peer::of(&endpoint);
        tracing::info!(%peer, "connection refused: its peer may not connect");
        endpoint.reset();
        None
    }

    fn poll_accept_any(&self, cx: &mut Context<'_>) -> Poll<io::Result<Endpoint>> {
        loop {
            ready!(self.readiness.poll_readable(&self.socket, cx))?;
            let accepted = self
                .readiness
                .try_io(&self.socket, Interest::READABLE, || self.accept_now());
            match accepted {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Poll::Ready(accepted),
            }
        }
    }

    /// Accept a connection that the kernel has now, whatever the event loop knows of it. `WouldBlock`:
    /// none waits.
    pub fn accept_now(&self) -> io::Result<Endpoint> {
        let (socket, peer) = accept(&self.socket)?;
        #[cfg(unix)]
        if self.is_unix {
            let mut endpoint = Endpoint::new(Plain::unix(socket), UNIX_ADDRESS);
            endpoint.set_addresses(Some(UNIX_ADDRESS), UNIX_ADDRESS);
            return Ok(endpoint);
        }
        let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok(Endpoint::new(Plain::tcp(socket), peer))
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        #[cfg(unix)]
        if self.is_unix {
            return Ok(UNIX_ADDRESS);
        }
        option::local_address(&self.options())
    }

    pub fn family(&self) -> io::Result<IpAddressFamily> {
        self.local_address().map(address::family_of)
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        self.is_unix
    }

    /// For socket options.
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&*self.socket)
    }

    /// What an accepted socket gets of this one, where the kernel does not see to it.
    #[cfg(not(target_os = "linux"))]
    pub fn bequeath(&self, endpoint: &Endpoint, family: IpAddressFamily) -> Result<(), ErrorCode> {
        match self.is_unix {
            true => Ok(()),
            false => option::inherit(&self.options(), &endpoint.options(), family),
        }
    }
}

/// Accept a connection, whose socket never blocks.
#[cfg(target_os = "linux")]
fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (accepted, peer) = rustix::net::acceptfrom_with(socket, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((accepted.into(), peer))
}

#[cfg(not(target_os = "linux"))]
fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (accepted, peer) = socket.accept()?;
    accepted.set_nonblocking(true)?;
    Ok((accepted, peer.as_socket()))
}
