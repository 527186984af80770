//! Standard error, for threads that do not wait for whoever reads it.
//!
//! One thread writes, and the others leave their lines to it: a pipe that nobody reads must not keep
//! connections waiting, which may be what fills it. When too many lines wait, further ones are left out,
//! and the log says how many.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes that wait to be written.
const ROOM: usize = 1 << 20;

/// How long the end of the process waits for whoever reads the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

static LINES: Lines = Lines {
    state: Mutex::new(State {
        text: Vec::new(),
        left_out: 0,
        is_writing: false,
    }),
    changed: Condvar::new(),
};

/// What is to be written.
pub struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    text: Vec<u8>,
    /// How many lines there was no room for.
    left_out: u64,
    /// Some were taken, and are on their way.
    is_writing: bool,
}

impl State {
    fn is_done(&self) -> bool {
        self.text.is_empty() && self.left_out == 0 && !self.is_writing
    }
}

/// Start the thread. To be called once.
pub fn start() -> io::Result<&'static Lines> {
    std::thread::Builder::new()
        .name("evconn-log".to_owned())
        .spawn(|| LINES.write())?;
    Ok(&LINES)
}

/// Wait until all is written, but not for long. Without the thread, that is at once.
pub fn flush() {
    let state = LINES.state();
    // A poisoned lock is no reason to wait.
    let _ = LINES
        .changed
        .wait_timeout_while(state, PATIENCE, |state| !state.is_done());
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.state();
        match state.text.len() + line.len() <= ROOM {
            true => state.text.extend_from_slice(line),
            false => state.left_out += 1,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Write for as long as the process lasts.
    fn write(&self) {
        let mut text = Vec::new();
        loop {
            let left_out = self.take(&mut text);
            if left_out > 0 {
                tracing::warn!(
                    "{left_out} lines of the log were left out: it is not read as fast as it is written"
                );
            }
            // If standard error is gone, there is nowhere left to say so.
            let _ = io::stderr().write_all(&text);
            text.clear();
        }
    }

    /// Wait for something to write, and take it. If there is nothing, but something was left out:
    /// how many lines.
    fn take(&self, text: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        self.changed.notify_all();
        while state.is_done() {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        if state.text.is_empty() {
            return std::mem::take(&mut state.left_out);
        }
        std::mem::swap(&mut state.text, text);
        0
    }
}

impl MakeWriter<'_> for &'static Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self
    }
}

/// It is given a line at a time.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
