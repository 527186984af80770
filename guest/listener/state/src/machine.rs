//! The states of a listener, and the transitions between them.

use crate::{AcceptError, Backoff, Callback, Class, Duration, Instant, Stats};

/// The initial settings of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether the listener starts enabled.
    pub enabled: bool,
    /// The callback for connections.
    pub callback: Option<Callback>,
    /// The callback for errors.
    pub error_callback: Option<Callback>,
}

/// The state of a listener: the first of these that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<C> {
    /// A fatal error has stopped the listener.
    Stopped(C),
    /// The listener is disabled.
    Disabled,
    /// The listener has no callback.
    Paused,
    /// A backoff step is running. This much of it is left.
    BackingOff(Duration),
    /// The listener accepts connections.
    Accepting,
}

/// What the listener does after a reported error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The listener tries again after this time.
    Retrying(Duration),
    /// The listener never accepts again.
    Stopped,
}

/// An error that is to be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReport<C> {
    /// The error callback that it is reported to.
    pub callback: Callback,
    /// The error code of accept.
    pub code: C,
    /// What the listener does next.
    pub recovery: Recovery,
}

/// The state machine of one listener, whose errors have codes of the type `C`.
#[derive(Clone, Debug)]
pub struct Machine<C> {
    enabled: bool,
    callback: Option<Callback>,
    error_callback: Option<Callback>,
    backoff: Backoff,
    stopped: Option<C>,
    stats: Stats,
}

impl<C: AcceptError> Machine<C> {
    /// Makes the state machine of a new listener.
    pub fn new(settings: Settings) -> Self {
        Self {
            enabled: settings.enabled,
            callback: settings.callback,
            error_callback: settings.error_callback,
            backoff: Backoff::default(),
            stopped: None,
            stats: Stats::default(),
        }
    }

    /// Returns the state at the time `now`.
    pub fn state(&self, now: Instant) -> State<C> {
        if let Some(code) = &self.stopped {
            return State::Stopped(code.clone());
        }
        if !self.enabled {
            return State::Disabled;
        }
        if self.callback.is_none() {
            return State::Paused;
        }
        match self.backoff.remaining(now) {
            Some(left) => State::BackingOff(left),
            None => State::Accepting,
        }
    }

    /// Returns the callback that connections may be delivered to now. Connections that were accepted before a
    /// backoff are delivered during it.
    pub fn delivers_to(&self) -> Option<Callback> {
        let on = self.enabled && self.stopped.is_none();
        self.callback.filter(|_| on)
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns whether a fatal error has stopped the listener.
    pub fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Enables the listener. Returns an error if a fatal error has stopped it.
    pub fn enable(&mut self) -> Result<(), C> {
        if self.stopped.is_some() {
            return Err(C::INVALID_STATE);
        }
        self.enabled = true;
        Ok(())
    }

    /// Disables the listener until `enable`.
    pub fn disable(&mut self) {
        self.enabled = false;
    }

    /// Sets the callback for connections that are taken from now on.
    pub fn set_callback(&mut self, callback: Option<Callback>) {
        self.callback = callback;
    }

    /// Sets the callback for errors that are taken from now on.
    pub fn set_error_callback(&mut self, callback: Option<Callback>) {
        self.error_callback = callback;
    }

    /// Records a successful accept, which resets the backoff.
    pub fn accepted(&mut self) {
        self.backoff.succeeded();
    }

    /// Counts a delivered connection.
    pub fn delivered(&mut self) {
        self.stats.accepted += 1;
    }

    /// Counts an accepted connection whose peer is gone.
    pub fn aborted(&mut self) {
        self.stats.aborted += 1;
    }

    /// Counts held connections that were closed because no byte arrived in time.
    pub fn timed_out(&mut self, count: u64) {
        self.stats.timed_out += count;
    }

    /// Records a failed accept. Returns the error to be reported, if any.
    pub fn failed(&mut self, code: C, now: Instant) -> Option<ErrorReport<C>> {
        let recovery = match code.class() {
            Class::Peer => {
                self.stats.peer_errors += 1;
                return None;
            }
            Class::Resource => {
                self.stats.resource_errors += 1;
                self.stats.backoff_steps += 1;
                Recovery::Retrying(self.backoff.begin(now))
            }
            Class::Fatal => {
                self.stats.fatal_errors += 1;
                self.stopped = Some(code.clone());
                Recovery::Stopped
            }
        };
        self.error_callback.map(|callback| ErrorReport {
            callback,
            code,
            recovery,
        })
    }

    /// Ends a backoff step early.
    pub fn retry(&mut self, now: Instant) {
        if self.backoff.retry(now) {
            self.stats.retries += 1;
        }
    }
}

#[cfg(test)]
mod tests;
