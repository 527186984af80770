//! The states of a listener and what moves it between them.

use crate::{Backoff, Callback, Class, Duration, Instant, Stats, classify};
use wasi::sockets::network::ErrorCode;

/// What a listener starts with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether it starts enabled.
    pub enabled: bool,
    /// The callback for connections.
    pub callback: Option<Callback>,
    /// The callback for errors.
    pub error_callback: Option<Callback>,
}

/// What a listener is doing. The first that applies, in this order, is its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A fatal error has ended it.
    Stopped(ErrorCode),
    /// It was disabled.
    Disabled,
    /// It has no callback.
    Paused,
    /// It waits for this long before it tries again.
    BackingOff(Duration),
    /// It accepts.
    Accepting,
}

/// What happens after an error that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Accepting goes on by itself after this long.
    Retrying(Duration),
    /// Never again.
    Stopped,
}

/// An error to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Whom it is for.
    pub callback: Callback,
    /// What accept returned.
    pub code: ErrorCode,
    /// What happens next.
    pub recovery: Recovery,
}

/// A listener without its sockets.
#[derive(Clone, Debug)]
pub struct Machine {
    enabled: bool,
    callback: Option<Callback>,
    error_callback: Option<Callback>,
    backoff: Backoff,
    stopped: Option<ErrorCode>,
    stats: Stats,
}

impl Machine {
    /// A listener that has not accepted anything yet.
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

    /// What the listener is doing.
    pub fn state(&self, now: Instant) -> State {
        if let Some(code) = self.stopped {
            return State::Stopped(code);
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

    /// Whom a connection may be delivered to now. A backoff keeps no connection back that was
    /// accepted before it.
    pub fn delivers_to(&self) -> Option<Callback> {
        let on = self.enabled && self.stopped.is_none();
        self.callback.filter(|_| on)
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Accept from now on. Fails once a fatal error has stopped the listener.
    pub fn enable(&mut self) -> Result<(), ErrorCode> {
        if self.stopped.is_some() {
            return Err(ErrorCode::InvalidState);
        }
        self.enabled = true;
        Ok(())
    }

    /// Accept no more until `enable`.
    pub fn disable(&mut self) {
        self.enabled = false;
    }

    /// Set the callback for connections from now on.
    pub fn set_callback(&mut self, callback: Option<Callback>) {
        self.callback = callback;
    }

    /// Set the callback for errors from now on.
    pub fn set_error_callback(&mut self, callback: Option<Callback>) {
        self.error_callback = callback;
    }

    /// Accept has worked: what ran out is there again.
    pub fn accepted(&mut self) {
        self.backoff.succeeded();
    }

    /// A connection is delivered.
    pub fn delivered(&mut self) {
        self.stats.accepted += 1;
    }

    /// A connection was accepted, but its peer is gone already.
    pub fn aborted(&mut self) {
        self.stats.aborted += 1;
    }

    /// Connections that were held are closed, because their peers sent nothing in time.
    pub fn timed_out(&mut self, count: u64) {
        self.stats.timed_out += count;
    }

    /// Accept has failed. Returns what is to be reported, if anything.
    pub fn failed(&mut self, code: ErrorCode, now: Instant) -> Option<ErrorReport> {
        let recovery = match classify(code) {
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
                self.stopped = Some(code);
                Recovery::Stopped
            }
        };
        self.error_callback.map(|callback| ErrorReport {
            callback,
            code,
            recovery,
        })
    }

    /// End a backoff early.
    pub fn retry(&mut self, now: Instant) {
        if self.backoff.retry(now) {
            self.stats.retries += 1;
        }
    }
}

#[cfg(test)]
mod tests;
