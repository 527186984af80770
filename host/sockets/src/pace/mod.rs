//! How fast a connection receives and sends: at a rate of its own, at one that it shares with others, or both.
//!
//! A connection that is ahead of a rate waits: what its peer sends remains in the kernel, and flow control slows the
//! peer down. [`Rate`] is the arithmetic, [`Throttle`] one direction of a connection, which waits for its turn.

mod rate;
mod throttle;

pub use rate::Rate;
pub use throttle::Throttle;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One of the two directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Receiving,
    /// To the peer.
    Sending,
}

/// A rate that several connections share, in each direction for itself.
pub trait SharedRate: Send + Sync + fmt::Debug {
    /// Returns the rate.
    fn rate(&self) -> Rate;

    /// Reserves so many bytes. Returns how long to wait until they may be transferred.
    fn reserve(&self, direction: Direction, bytes: u64) -> Duration;

    /// Gives back bytes that were reserved and not transferred.
    fn give_back(&self, direction: Direction, bytes: u64);
}

/// The rates of a connection.
#[derive(Debug)]
pub struct Pace {
    pub receiving: Throttle,
    pub sending: Throttle,
}

impl Pace {
    /// Returns the pace of a connection with a rate of its own, a shared one, or both; None if it has neither.
    ///
    /// # Panics
    /// Outside a tokio runtime, whose timers it waits for.
    pub fn new(own: Option<Rate>, shared: Option<&Arc<dyn SharedRate>>) -> Option<Self> {
        let shared_rate = shared.map(|shared| shared.rate());
        let piece = own.into_iter().chain(shared_rate).map(Rate::piece).min()?;
        let throttle = |direction| Throttle::new(direction, (own, shared.cloned()), piece);
        Some(Self {
            receiving: throttle(Direction::Receiving),
            sending: throttle(Direction::Sending),
        })
    }

    /// Returns how long it has waited in this direction.
    pub fn waited(&self, direction: Direction) -> Duration {
        match direction {
            Direction::Receiving => self.receiving.waited(),
            Direction::Sending => self.sending.waited(),
        }
    }

    /// Returns whether it waits for a rate now.
    pub fn is_waiting(&self) -> bool {
        let now = Instant::now();
        self.receiving.is_waiting(now) || self.sending.is_waiting(now)
    }
}
