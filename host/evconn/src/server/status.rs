//! What is known of a connection while it is open.

use crate::sockets::{Endpoint, Peer};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// An open connection, as [`ServerHandle::connections`](crate::ServerHandle::connections) returns it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStatus {
    /// Its number, which is that of the log.
    pub number: u64,
    /// Its peer. If a proxy announces it, this is the proxy until its header has been read.
    pub peer: Peer,
    /// The [name](crate::Listener::name) of its listener.
    pub listener: Arc<str>,
    /// The time since it was accepted.
    pub age: Duration,
    /// The bytes that the service has read so far, without handshakes and PROXY headers.
    pub received: u64,
    /// The bytes that the service has written and the kernel, or the TLS session, has taken.
    pub sent: u64,
    /// What happens to it.
    pub state: ConnectionState,
}

/// What happens to an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It is being identified, admitted or encrypted.
    Handshake,
    /// An instance of its own handles it, or is being made.
    Handling,
    /// An instance that may have other connections handles it, or it waits for one.
    Sharing,
    /// The host does the rest without an instance.
    WithoutInstance,
    /// The service is done with it, and the peer has not received all that was sent.
    Lingering,
}

impl ConnectionState {
    const ALL: [Self; 5] = [
        Self::Handshake,
        Self::Handling,
        Self::Sharing,
        Self::WithoutInstance,
        Self::Lingering,
    ];
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Handling => "handling",
            Self::Sharing => "sharing",
            Self::WithoutInstance => "without-instance",
            Self::Lingering => "lingering",
        })
    }
}

/// The state of a connection, which its task sets and others read.
pub(super) struct CurrentState(AtomicU8);

impl CurrentState {
    pub fn new() -> Self {
        Self(AtomicU8::new(ConnectionState::Handshake as u8))
    }

    pub fn set(&self, state: ConnectionState) {
        self.0.store(state as u8, Ordering::Relaxed);
    }

    fn get(&self) -> ConnectionState {
        let state = usize::from(self.0.load(Ordering::Relaxed));
        ConnectionState::ALL[state]
    }
}

/// What a connection is known by while it is open.
pub(super) struct Known {
    pub number: u64,
    pub listener: Arc<str>,
    pub begun: Instant,
}

impl Known {
    pub fn status(
        &self,
        endpoint: &Endpoint,
        state: &CurrentState,
        now: Instant,
    ) -> ConnectionStatus {
        ConnectionStatus {
            number: self.number,
            peer: Peer::of(endpoint),
            listener: Arc::clone(&self.listener),
            age: now.saturating_duration_since(self.begun),
            received: endpoint.received(),
            sent: endpoint.sent(),
            state: state.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_read_as_it_was_set() {
        let current = CurrentState::new();
        assert_eq!(current.get(), ConnectionState::Handshake);
        for state in ConnectionState::ALL {
            current.set(state);
            assert_eq!(current.get(), state);
        }
    }
}
