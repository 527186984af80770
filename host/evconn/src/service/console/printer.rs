//! Standard error, for guests that print to it as it is.
//!
//! One thread writes for all of the process. Whoever reads it slowly holds up the guests that print,
//! and nobody else.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many bytes wait to be written before a guest has to wait, too.
const ROOM: usize = 64 << 10;

/// How many there can be at most: guests may be permitted to print, and then all do so at once.
const MOST: usize = 1 << 20;

/// How long the end of a server waits for whoever reads the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

static PRINTER: Printer = Printer {
    state: Mutex::new(PrinterState {
        text: Vec::new(),
        left_out: 0,
        has_thread: false,
        is_writing: false,
    }),
    to_write: Condvar::new(),
    written: Notify::const_new(),
};

struct Printer {
    state: Mutex<PrinterState>,
    to_write: Condvar,
    /// Notified whenever there is more room.
    written: Notify,
}

struct PrinterState {
    text: Vec<u8>,
    /// How many lines there was no room for.
    left_out: u64,
    has_thread: bool,
    /// Some text was taken, and is on its way.
    is_writing: bool,
}

/// Print a line. Whether there is room for it ([`has_room`]) is for the caller to ask first.
pub(super) fn print(line: &[u8]) {
    let mut state = PRINTER.state();
    if !state.has_thread {
        let thread = std::thread::Builder::new().name("evconn-print".to_owned());
        if let Err(error) = thread.spawn(|| PRINTER.write()) {
            tracing::warn!("a line that a service printed is left out: no thread: {error}");
            return;
        }
        state.has_thread = true;
    }
    match state.text.len() + line.len() <= MOST {
        true => state.text.extend_from_slice(line),
        false => state.left_out += 1,
    }
    PRINTER.to_write.notify_one();
}

/// Whether a guest may print now.
pub(super) fn has_room() -> bool {
    PRINTER.state().text.len() < ROOM
}

/// Wait until a guest may print.
pub(super) async fn room() {
    PRINTER.until(|state| state.text.len() < ROOM).await;
}

/// Wait until all is written, but not for long.
pub(crate) async fn flush() {
    let is_done = |state: &PrinterState| state.text.is_empty() && !state.is_writing;
    // An error is that the time is over.
    let _ = tokio::time::timeout(PATIENCE, PRINTER.until(is_done)).await;
}

impl Printer {
    fn state(&self) -> MutexGuard<'_, PrinterState> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, condition: impl Fn(&PrinterState) -> bool) {
        loop {
            let written = self.written.notified();
            if condition(&self.state()) {
                return;
            }
            written.await;
        }
    }

    /// Write for as long as the process lasts.
    fn write(&self) {
        let mut text = Vec::new();
        loop {
            let left_out = self.take(&mut text);
            // If standard error is gone, there is nowhere left to say so.
            let _ = io::stderr().write_all(&text);
            text.clear();
            if left_out > 0 {
                tracing::warn!(
                    "{left_out} lines that services printed were left out: standard error is not read \
                     as fast as they print"
                );
            }
        }
    }

    /// Wait for something to write, and take it. Returns how many lines were left out after it.
    fn take(&self, text: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        self.written.notify_waiters();
        while state.text.is_empty() {
            let woken = self.to_write.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        std::mem::swap(&mut state.text, text);
        self.written.notify_waiters();
        std::mem::take(&mut state.left_out)
    }
}
