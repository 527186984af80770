//! What can be waited for at a socket, or a stream of one.

use crate::connection::Endpoint;
use crate::listen::{Incoming, Listener, VirtualListener};
use std::sync::Arc;
use std::task::{Context, Poll};

/// What is ready when something can be read, written or accepted.
#[derive(Clone)]
pub(crate) enum SocketPollable {
    Input(Arc<Endpoint>),
    Output(Arc<Endpoint>),
    Listener(Arc<Listener>),
    /// A listening socket that gets its connections from the host.
    Virtual(Arc<VirtualListener>),
    /// A socket in the table that was virtual when its guest subscribed to it: what it waits for depends on its
    /// state by the time it is asked.
    Socket(u32),
    /// The stream that it waited for was taken away.
    Revoked,
}

impl SocketPollable {
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Input(endpoint) => endpoint.poll_input_ready(cx),
            Self::Output(endpoint) => endpoint.poll_output_ready(cx),
            Self::Listener(listener) => listener.poll_ready(cx),
            Self::Virtual(listener) => listener.poll_ready(cx),
            Self::Socket(_) | Self::Revoked => Poll::Ready(()),
        }
    }

    /// The connection that it waits for.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match self {
            Self::Input(endpoint) | Self::Output(endpoint) => Some(endpoint),
            Self::Listener(_) | Self::Virtual(_) | Self::Socket(_) | Self::Revoked => None,
        }
    }

    /// Whether it waits for what the guest itself would have to send, and has not sent.
    pub fn is_for_itself(&self) -> bool {
        match self {
            Self::Input(endpoint) => endpoint.is_own() && endpoint.plain().has_no_input(),
            _ => false,
        }
    }

    /// What the host gives connections to that it waits for.
    pub fn incoming(&self) -> Option<&Incoming> {
        match self {
            Self::Virtual(listener) => Some(listener.incoming()),
            _ => None,
        }
    }
}
