//! Deferred accept: connections that wait in here for the first byte from their peer.

use crate::bindings::evconn::tcp::connection::Connection;
use evconn_listener_state::{Duration, Instant};
use wasi::clocks::monotonic_clock;
use wasi::io::poll::{self, Pollable};

/// How connections are held.
#[derive(Clone, Copy)]
pub struct Policy {
    /// The most that are held at a time: at least 1.
    pub max_held: u32,
    /// How long each one is held.
    pub timeout: Duration,
}

/// The connections that are held.
pub struct Deferred {
    policy: Policy,
    /// The oldest first: its deadline is the first one, too.
    held: Vec<Held>,
}

/// What came of a look at those that are held.
#[derive(Default)]
pub struct Sweep {
    /// Connections to be delivered.
    pub readable: Vec<Connection>,
    /// How many were closed for want of a byte.
    pub timed_out: u64,
}

struct Held {
    // The order matters: a pollable is a child of its stream.
    readable: Pollable,
    connection: Connection,
    deadline: Instant,
}

impl Deferred {
    pub fn new(policy: Policy) -> Self {
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

    /// Take out up to `max` connections whose peers have sent something or have ended their side,
    /// and close those that have waited for too long.
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

    /// Which of them can be read. One call for all: each call costs the host a look at every one.
    fn readable(&self) -> Vec<bool> {
        // Polling waits until one of the list is ready. This one is.
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

    /// Close all of them.
    pub fn close(&mut self) {
        self.held.clear();
    }

    /// What to wait for: the first byte for one of them, and the first deadline.
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
