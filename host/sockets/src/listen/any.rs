//! A listening socket of a guest: one of the operating system, or a virtual one.

use super::incoming::VirtualListener;
use super::listener::Listener;
use super::told::Told;
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A listening socket.
#[derive(Clone, Debug)]
pub(crate) enum AnyListener {
    System(Arc<Listener>),
    Virtual(Arc<VirtualListener>),
}

impl AnyListener {
    /// Accepts a connection. Fails with `WouldBlock` if none waits.
    pub fn accept(&self) -> Result<(Arc<Endpoint>, Option<Told>), ErrorCode> {
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
