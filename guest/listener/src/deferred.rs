//! Deferred accept: connections that are held until their peer has sent a byte.

use crate::bindings::evconn::tcp::connection::Connection;
use evconn_listener_state::{Deferral, Instant};
use wasi::clocks::monotonic_clock;
use wasi::io::poll::{self, Pollable};

/// The held connections.
pub struct Deferred {
    policy: Deferral,
    /// Ordered by age, and so by deadline: the oldest is the first.
    held: Vec<Held>,
}

/// The outcome of [`Deferred::sweep`].
#[derive(Default)]
pub struct Sweep {
    /// Connections that are to be delivered.
    pub readable: Vec<Connection>,
    /// How many connections were closed because no byte arrived in time.
    pub timed_out: u64,
}

struct Held {
    // The order matters: a pollable is dropped before its parent stream.
    readable: Pollable,
    connection: Connection,
    deadline: Instant,
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

    pub fn hold(&mut self, connection: Connection, now: Instant) {
        self.held.push(Held {
            readable: connection.input.subscribe(),
            connection,
            deadline: now.saturating_add(self.policy.timeout),
        });
    }

    /// Removes up to `max` connections whose peers have sent bytes or have ended their sending direction, and
    /// closes those whose deadline has passed.
    pub fn sweep(&mut self, max: usize, now: Instant) -> Sweep {
        let mut sweep = Sweep::default();
        if self.held.is_empty() {
            return sweep;
        }
        let is_readable = self.readable();
        let held = std::mem::take(&mut self.held);
        for (held, is_readable) in held.into_iter().zip(is_readable) {
            if is_readable && sweep.readable.len() < max {
                sweep.readable.push(held.connection);
            } else if is_readable || held.deadline > now {
                self.held.push(held);
            } else {
                sweep.timed_out += 1;
            }
        }
        sweep
    }

    /// Returns for each held connection whether its input is readable, with one host call for all.
    fn readable(&self) -> Vec<bool> {
        // `poll` waits until a pollable of the list is ready. This one always is.
        let now = monotonic_clock::subscribe_duration(0);
        let mut list: Vec<_> = self.held.iter().map(|held| &held.readable).collect();
        list.push(&now);
        let mut is_readable = vec![false; list.len()];
        for index in poll::poll(&list) {
            if let Some(is_readable) = is_readable.get_mut(index as usize) {
                *is_readable = true;
            }
        }
        is_readable
    }

    /// Closes all held connections.
    pub fn close(&mut self) {
        self.held.clear();
    }

    /// Returns what to wait for: the inputs of all held connections, and the first deadline.
    pub fn subscribe(&self) -> Vec<Pollable> {
        let inputs = self.held.iter();
        let mut pollables: Vec<_> = inputs
            .map(|held| held.connection.input.subscribe())
            .collect();
        if let Some(first) = self.held.first() {
            pollables.push(monotonic_clock::subscribe_instant(first.deadline));
        }
        pollables
    }
}
