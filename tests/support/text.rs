//! What a process writes, as far as it is read.

use super::DEADLINE;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Text that a thread reads until its end.
#[derive(Clone, Default)]
pub struct Text(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    has_ended: bool,
}

impl State {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Text {
    pub fn read(mut from: impl Read + Send + 'static) -> Self {
        let text = Self::default();
        let shared = text.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            // An error is as good as the end: nothing more can be read.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                shared.change(|state| state.bytes.extend(&buffer[..count]));
            }
            shared.change(|state| state.has_ended = true);
        });
        text
    }

    /// Waits until this is in the text, and returns the text so far.
    pub fn wait_for(&self, what: &str) -> String {
        let state = self.wait_until(|state| state.text().contains(what) || state.has_ended);
        let text = state.text();
        assert!(text.contains(what), "{what:?} is not in:\n{text}");
        text
    }

    /// Returns what was read until now.
    pub fn so_far(&self) -> String {
        self.state().text()
    }

    /// Waits until all of it was read.
    pub fn wait_for_end(&self) -> String {
        let state = self.wait_until(|state| state.has_ended);
        assert!(state.has_ended, "no end after:\n{}", state.text());
        state.text()
    }

    /// Returns what was read, up to the end if that comes before the deadline.
    pub fn all(&self) -> String {
        self.wait_until(|state| state.has_ended).text()
    }

    /// Waits up to the deadline.
    fn wait_until(&self, is_it: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .0
            .1
            .wait_timeout_while(self.state(), DEADLINE, |state| !is_it(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
