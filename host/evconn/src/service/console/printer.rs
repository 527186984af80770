//! Standard error, for guests that print to it directly.
//!
//! One thread writes for the whole process. If standard error is read slowly, the guests that print are
//! slowed down, and nothing else.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many bytes may be waiting to be written before guests have to wait, too.
const CAPACITY: usize = 64 << 10;

/// The most bytes that may be waiting: several guests may be permitted to print, and then all print at
/// once.
const MOST: usize = 1 << 20;

/// How long a server waits at its end until the last lines are read.
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
    /// Notified when there is capacity again.
    written: Notify,
}

struct PrinterState {
    text: Vec<u8>,
    /// How many lines were left out because the buffer was full.
    left_out: u64,
    has_thread: bool,
    /// Whether text was taken that is still being written.
    is_writing: bool,
}

/// Prints a line. The caller has to check [`has_capacity`] first.
pub(super) fn print(line: &[u8]) {
    let mut state = PRINTER.state();
    if !state.has_thread {
        let thread = std::thread::Builder::new().name("evconn-print".to_owned());
        if let Err(error) = thread.spawn(|| PRINTER.write()) {
            tracing::warn!(
                "a line that a service printed was left out: cannot start a thread: {error}"
            );
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

/// Returns whether a guest may print now.
pub(super) fn has_capacity() -> bool {
    PRINTER.state().text.len() < CAPACITY
}

/// Waits until a guest may print.
pub(super) async fn capacity() {
    PRINTER.until(|state| state.text.len() < CAPACITY).await;
}

/// Waits until everything is written, for up to [`PATIENCE`].
pub(crate) async fn flush() {
    let is_done = |state: &PrinterState| state.text.is_empty() && !state.is_writing;
    // An error means that the time has run out.
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

    /// Writes for as long as the process runs.
    fn write(&self) {
        let mut text = Vec::new();
        loop {
            let left_out = self.take(&mut text);
            // If standard error is gone, there is nowhere left to report it.
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

    /// Waits for text to write, and takes it. Returns how many lines were left out after it.
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
