//! A listening socket of a guest: one of the operating system, or a virtual one.

use super::incoming::VirtualListener;
use super::listener::Listener;
use super::told::Told;
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// A connection that was accepted, and what its guest is told of it, if that is not what the system says.
pub(crate) type Arrived = (Arc<Endpoint>, Option<Told>);

/// A listening socket.
#[derive(Clone, Debug)]
pub(crate) enum AnyListener {
    System(Arc<Listener>),
    Virtual(Arc<VirtualListener>),
}

impl AnyListener {
    /// Accepts a connection. Fails with `WouldBlock` if none waits.
    pub fn accept(&self) -> Result<Arrived, ErrorCode> {
        match self {
            Self::System(listener) => {
                let mut nobody = Context::from_waker(Waker::noop());
                match listener.poll_accept(&mut nobody) {
                    Poll::Ready(result) => Ok((Arc::new(result?), None)),
                    Poll::Pending => Err(ErrorCode::WouldBlock),
                }
            }
            Self::Virtual(listener) => {
                let (endpoint, told) = listener.accept().ok_or(ErrorCode::WouldBlock)?;
                Ok((endpoint, Some(told)))
            }
        }
    }

    /// Accepts a connection, as soon as there is one.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Arrived, ErrorCode>> {
        match self {
            Self::System(listener) => {
                let accepted = ready!(listener.poll_accept(cx));
                Poll::Ready(accepted.map(|endpoint| (Arc::new(endpoint), None)))
            }
            Self::Virtual(listener) => {
                ready!(listener.poll_ready(cx));
                let accepted = listener.accept().ok_or(ErrorCode::WouldBlock);
                Poll::Ready(accepted.map(|(endpoint, told)| (endpoint, Some(told))))
            }
        }
    }

    /// Ends accepting: nobody will ask for a connection any more. The address remains in use.
    pub fn stop(&self) {
        match self {
            Self::System(listener) => listener.give_up_ahead(),
            Self::Virtual(listener) => listener.stop(),
        }
    }

    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::System(listener) => listener.poll_ready(cx),
            Self::Virtual(listener) => listener.poll_ready(cx),
        }
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(listener) => listener.listening().local_address(),
            Self::Virtual(listener) => Ok(listener.address()),
        }
    }

    /// Returns the one of the operating system.
    pub fn system(&self) -> Option<&Listener> {
        match self {
            Self::System(listener) => Some(listener),
            Self::Virtual(_) => None,
        }
    }
}
