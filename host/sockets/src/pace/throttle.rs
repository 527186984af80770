//! One direction of a connection that waits for its rates.
//!
//! Bytes are reserved in pieces before they are transferred, in the order in which connections ask: those that share a
//! rate take turns, and each wakes once for a piece. What was reserved and is not transferred is given back.

use super::{Direction, Rate, SharedRate};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep_until};

/// The longest that a connection waits for one piece, whatever a shared rate says.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How long a piece is kept for a connection whose turn it is. Otherwise connections could save up pieces, and transfer
/// them all at once.
const KEPT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Throttle {
    direction: Direction,
    own: Option<Rate>,
    shared: Option<Arc<dyn SharedRate>>,
    /// How many bytes are reserved at a time.
    piece: usize,
    /// The clock of the connection's own rate begins here.
    start: Instant,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when the connection's own rate is used up.
    used_up: u64,
    reserved: Option<Reserved>,
    /// How long earlier pieces were waited for.
    waited: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Bytes that may be transferred from a time on.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    bytes: usize,
    since: Instant,
    from: Instant,
}

impl Reserved {
    fn waited(&self, now: Instant) -> Duration {
        self.from.min(now).saturating_duration_since(self.since)
    }
}

impl Throttle {
    pub(super) fn new(
        direction: Direction,
        (own, shared): (Option<Rate>, Option<Arc<dyn SharedRate>>),
        piece: u64,
    ) -> Self {
        Self {
            direction,
            own,
            shared,
            piece: usize::try_from(piece).unwrap_or(usize::MAX),
            start: Instant::now(),
            runtime: Handle::current(),
            state: Mutex::default(),
        }
    }

    /// Has `transfer` transfer up to so many bytes, as far as the rates permit. `is_useful` says whether there is
    /// something to transfer, so that it is worth waiting for.
    ///
    /// # Errors
    /// `WouldBlock` if the rates permit nothing now, or the error of `transfer`.
    pub fn limit(
        &self,
        wanted: usize,
        is_useful: impl FnOnce() -> bool,
        transfer: impl FnOnce(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if wanted == 0 {
            return transfer(0);
        }
        let Some(permitted) = self.take(wanted) else {
            if !is_useful() {
                self.give_up();
            }
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let result = transfer(permitted);
        let transferred = result.as_ref().map_or(0, |count| *count);
        self.give_back(&mut self.state(), permitted.saturating_sub(transferred));
        result
    }

    /// Waits until the rates permit something, which then is kept for a while. One task can wait at a time.
    pub fn poll_permitted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let from = self.reserve(&mut state, self.piece, now).from;
            if from <= now {
                return Poll::Ready(());
            }
            ready!(self.timer(&mut state, from).poll(cx));
        }
    }

    /// Returns whether it waits now.
    pub fn is_waiting(&self, now: Instant) -> bool {
        let state = self.state();
        state.reserved.is_some_and(|reserved| reserved.from > now)
    }

    /// Returns how long it has waited, in all.
    pub fn waited(&self) -> Duration {
        let state = self.state();
        let now = Instant::now();
        let last = state.reserved.map(|reserved| reserved.waited(now));
        state.waited + last.unwrap_or_default()
    }

    /// Takes up to so many bytes, if some are permitted now. Otherwise a piece is reserved.
    fn take(&self, wanted: usize) -> Option<usize> {
        let mut state = self.state();
        let now = Instant::now();
        let reserved = self.reserve(&mut state, wanted.min(self.piece), now);
        if reserved.from > now {
            return None;
        }
        state.end_reservation(now);
        let taken = reserved.bytes.min(wanted);
        self.give_back(&mut state, reserved.bytes - taken);
        Some(taken)
    }

    /// Returns what is reserved, or reserves so many bytes.
    fn reserve(&self, state: &mut State, bytes: usize, now: Instant) -> Reserved {
        match state.reserved {
            Some(reserved) if now.saturating_duration_since(reserved.from) < KEPT => {
                return reserved;
            }
            Some(expired) => {
                state.end_reservation(now);
                self.give_back(state, expired.bytes);
            }
            None => {}
        }
        let mut wait = Duration::ZERO;
        if let Some(rate) = self.own {
            let passed = now.saturating_duration_since(self.start);
            let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
            (state.used_up, wait) = rate.reserve(state.used_up, passed, bytes as u64);
        }
        if let Some(shared) = &self.shared {
            wait = wait.max(shared.reserve(self.direction, bytes as u64));
        }
        let reserved = Reserved {
            bytes,
            since: now,
            from: now + wait.min(LONGEST),
        };
        state.reserved = Some(reserved);
        reserved
    }

    /// Gives back what is reserved.
    fn give_up(&self) {
        let mut state = self.state();
        if let Some(reserved) = state.reserved.take() {
            self.give_back(&mut state, reserved.bytes);
        }
    }

    fn give_back(&self, state: &mut State, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some(rate) = self.own {
            state.used_up = rate.give_back(state.used_up, bytes as u64);
        }
        if let Some(shared) = &self.shared {
            shared.give_back(self.direction, bytes as u64);
        }
    }

    fn timer<'a>(&self, state: &'a mut State, until: Instant) -> Pin<&'a mut Sleep> {
        let timer = state.timer.get_or_insert_with(|| {
            // A store's destructor, for example, may run outside of it.
            let _in_runtime = self.runtime.enter();
            Box::pin(sleep_until(until.into()))
        });
        if timer.deadline() != until.into() {
            timer.as_mut().reset(until.into());
        }
        timer.as_mut()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends a reservation for which the connection has waited.
    fn end_reservation(&mut self, now: Instant) {
        if let Some(reserved) = self.reserved.take() {
            self.waited += reserved.waited(now);
        }
    }
}

/// Others do not wait for bytes that will not come.
impl Drop for Throttle {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests;
