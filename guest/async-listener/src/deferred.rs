//! Deferred accept: connections that are held until their peer has sent a byte.

use crate::bindings::exports::evconn::tcp::listener::Received;
use crate::bindings::wasi::sockets::types::{ErrorCode, IpSocketAddress, TcpSocket};
use crate::bindings::wit_stream;
use crate::watched::{Ready, Watched};
use evconn_listener_state::{Deferral, Instant};
use wit_bindgen_async::FutureReader;

/// The held connections.
pub struct Deferred {
    policy: Deferral,
    /// Ordered by age, and so by deadline: the oldest is the first.
    held: Vec<Held>,
}

/// A connection that is to be delivered.
pub struct Delivered {
    pub socket: TcpSocket,
    pub peer_address: IpSocketAddress,
    pub received: Received,
}

/// The outcome of [`Deferred::sweep`].
#[derive(Default)]
pub struct Sweep {
    /// Connections that are to be delivered.
    pub readable: Vec<Delivered>,
    /// How many connections were closed because no byte arrived in time.
    pub timed_out: u64,
}

struct Held {
    socket: TcpSocket,
    peer_address: IpSocketAddress,
    received: Watched<u8>,
    ended: FutureReader<Result<(), ErrorCode>>,
    deadline: Instant,
}

impl Held {
    fn deliver(self) -> Delivered {
        // A stream that is known to have ended cannot be passed on. Another one that has ended can.
        let received = self.received.into_inner();
        let received = received.unwrap_or_else(|| wit_stream::new().1);
        Delivered {
            socket: self.socket,
            peer_address: self.peer_address,
            received: (received, self.ended),
        }
    }
}

impl Deferred {
    pub fn new(policy: Deferral) -> Self {
        Self {
            policy,
            held: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_full(&self) -> bool {
        self.held.len() >= self.policy.max_held as usize
    }

    pub fn hold(&mut self, socket: TcpSocket, peer_address: IpSocketAddress, now: Instant) {
        let (received, ended) = socket.receive();
        self.held.push(Held {
            socket,
            peer_address,
            received: Watched::new(received),
            ended,
            deadline: now.saturating_add(self.policy.timeout),
        });
    }

    /// Removes up to `max` connections whose peers have sent bytes or have ended their sending direction, and
    /// closes those whose deadline has passed.
    pub fn sweep(&mut self, max: usize, now: Instant) -> Sweep {
        let mut sweep = Sweep::default();
        for mut held in std::mem::take(&mut self.held) {
            let is_readable = held.received.is_ready();
            if is_readable && sweep.readable.len() < max {
                sweep.readable.push(held.deliver());
            } else if is_readable || held.deadline > now {
                self.held.push(held);
            } else {
                sweep.timed_out += 1;
            }
        }
        sweep
    }

    /// Closes all held connections.
    pub fn close(&mut self) {
        self.held.clear();
    }

    /// Returns the first deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.held.first().map(|held| held.deadline)
    }

    /// Returns what to wait for, besides the first deadline: the bytes of all held connections.
    pub fn ready(&mut self) -> impl Iterator<Item = Ready<'_, u8>> {
        self.held.iter_mut().map(|held| held.received.ready())
    }
}
