//! A listening socket: it accepts, asks the policy about each peer, and says when there is one.

use super::errors::code_of_accept;
#[cfg(not(target_os = "linux"))]
use super::option;
use super::plain::Plain;
use super::policy::{Policy, Use};
use super::{Endpoint, address};
use crate::connection::Peer;
use socket2::SockRef;
use std::io;
#[cfg(unix)]
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

/// What a guest is told of either side of a Unix socket: it knows of no other addresses.
#[cfg(unix)]
const UNIX_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How many peers that are not allowed are reset in one go.
pub(super) const REFUSED_AT_A_TIME: u32 = 64;

#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listening {
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
        Poll::Ready(Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Endpoint::new(Plain::Tcp(stream), peer)
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                unix_endpoint(stream)
            }
        }))
    }

    /// Accept a connection that the kernel has now, whatever tokio knows of it. `WouldBlock`: none
    /// waits.
    pub fn accept_now(&self) -> io::Result<Endpoint> {
        let (socket, peer) = self.options().accept()?;
        socket.set_nonblocking(true)?;
        match self {
            Self::Tcp(_) => {
                let peer = peer.as_socket().ok_or(io::ErrorKind::ConnectionAborted)?;
                let stream = TcpStream::from_std(socket.into())?;
                Ok(Endpoint::new(Plain::Tcp(stream), peer))
            }
            #[cfg(unix)]
            Self::Unix(_) => Ok(unix_endpoint(UnixStream::from_std(socket.into())?)),
        }
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Self::Unix(_) => Ok(UNIX_ADDRESS),
        }
    }

    pub fn family(&self) -> io::Result<IpAddressFamily> {
        self.local_address().map(address::family_of)
    }

    /// For socket options.
    pub fn options(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener),
            #[cfg(unix)]
            Self::Unix(listener) => SockRef::from(listener),
        }
    }

    /// What an accepted socket gets of this one, where the kernel does not see to it.
    #[cfg(not(target_os = "linux"))]
    pub fn bequeath(&self, endpoint: &Endpoint, family: IpAddressFamily) -> Result<(), ErrorCode> {
        match self {
            Self::Tcp(_) => option::inherit(&self.options(), &endpoint.options(), family),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }
}

#[cfg(unix)]
fn unix_endpoint(stream: UnixStream) -> Endpoint {
    let mut endpoint = Endpoint::new(Plain::Unix(stream), UNIX_ADDRESS);
    endpoint.set_addresses(Some(UNIX_ADDRESS), UNIX_ADDRESS);
    endpoint
}
