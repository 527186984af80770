//! What is known of a connection while it is open.

use crate::sockets::{Endpoint, Peer};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
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

/// When a connection entered its phases, each as the time since its begin, and if it did at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionPhases {
    /// It was identified, admitted and encrypted, and waited for an instance from then on.
    pub admitted: Option<Duration>,
    /// An instance had it.
    pub handled: Option<Duration>,
    /// The host did the rest without an instance.
    pub without_instance: Option<Duration>,
    /// The service was done with it, and the peer had not received all that was sent.
    pub lingering: Option<Duration>,
}

/// The state of a connection, which its task sets and others read.
pub(super) struct CurrentState {
    state: AtomicU8,
    /// When each state was entered, in nanoseconds of the connection's life. 0: it was not.
    entered: [AtomicU64; ConnectionState::ALL.len()],
}

impl CurrentState {
    pub fn new() -> Self {
        Self {
            state: AtomicU8::new(ConnectionState::Handshake as u8),
            entered: Default::default(),
        }
    }

    /// `age` is that of the connection.
    pub fn set(&self, state: ConnectionState, age: Duration) {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.entered[state as usize].store(age, Ordering::Relaxed);
        self.state.store(state as u8, Ordering::Relaxed);
    }

    fn get(&self) -> ConnectionState {
        let state = usize::from(self.state.load(Ordering::Relaxed));
        ConnectionState::ALL[state]
    }

    /// Returns when the phases were entered that are states.
    pub fn phases(&self) -> ConnectionPhases {
        let entered = |state: ConnectionState| {
            let age = self.entered[state as usize].load(Ordering::Relaxed);
            (age > 0).then(|| Duration::from_nanos(age))
        };
        let own = entered(ConnectionState::Handling);
        ConnectionPhases {
            admitted: own.or_else(|| entered(ConnectionState::Sharing)),
            handled: None,
            without_instance: entered(ConnectionState::WithoutInstance),
            lingering: entered(ConnectionState::Lingering),
        }
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
            current.set(state, Duration::ZERO);
            assert_eq!(current.get(), state);
        }
    }

    #[test]
    fn phases_are_the_times_of_states() {
        let current = CurrentState::new();
        assert_eq!(current.phases(), ConnectionPhases::default());
        let times = [2, 5].map(Duration::from_millis);
        current.set(ConnectionState::Sharing, times[0]);
        current.set(ConnectionState::Lingering, times[1]);
        let phases = ConnectionPhases {
            admitted: Some(times[0]),
            lingering: Some(times[1]),
            ..ConnectionPhases::default()
        };
        assert_eq!(current.phases(), phases);
    }
}
