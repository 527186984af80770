//! Standard error, for whoever must not wait for its reader: logs, and services that print to it.
//!
//! One thread of the process writes, and the others queue lines for it. When the queue is full, lines are
//! dropped, and a warning says how many. Services are made to wait before that.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many bytes are queued before a service has to wait.
const SERVICES_WAIT: usize = 64 << 10;

/// How many bytes services may queue: more than before they wait, since all that have been let print may do so
/// at once.
const MAX_PRINTED: usize = 1 << 20;

/// How many bytes may be queued in all: a log has space when services have used theirs.
const MAX: usize = 2 << 20;

/// How long the end of a process waits for the reader of the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: Queue = Queue {
    state: Mutex::new(QueueState {
        text: Vec::new(),
        dropped: 0,
        has_thread: false,
        is_writing: false,
    }),
    changed: Condvar::new(),
    written: Notify::const_new(),
};

/// A writer to standard error that never blocks, for a log.
///
/// A pipe that nobody reads must not hold up the threads that log, which serve connections. Each write has to be
/// whole lines. If 2 MiB are queued, further lines are dropped, and a warning is logged with their number.
///
/// ```
/// tracing_subscriber::fmt()
///     .with_writer(evconn::Stderr::default)
///     .init();
/// tracing::info!("logged");
/// evconn::Stderr::flush_all();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr(());

impl Stderr {
    /// Waits until fewer than 64 KiB are queued, as services that print to standard error do.
    ///
    /// Call it before each write, of up to 64 KiB, when passing on lines of others, such as another process's log.
    /// This leaves space for this process's own lines, and the others wait rather than lose lines.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use std::io::Write;
    ///
    /// evconn::Stderr::ready().await;
    /// evconn::Stderr::default().write_all(b"a line of another process\n")?;
    /// evconn::Stderr::flush_all();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready() {
        QUEUE.until(QueueState::has_space).await;
    }

    /// Waits until all that was queued is written, up to a second. A process has to call it before it ends.
    pub fn flush_all() {
        let state = QUEUE.state();
        // The outcome does not matter: nobody may be reading.
        let _ = QUEUE
            .changed
            .wait_timeout_while(state, FLUSH_TIMEOUT, |state| !state.is_done());
    }
}

impl Write for Stderr {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        QUEUE.push(lines, MAX)?;
        Ok(lines.len())
    }

    /// Does nothing: see [`flush_all`](Self::flush_all).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Queues a line that a service prints. The caller has to ask first whether it may ([`has_space`]).
pub(crate) fn print(line: &[u8]) {
    if let Err(error) = QUEUE.push(line, MAX_PRINTED) {
        tracing::warn!("a line that a service printed was dropped: cannot start a thread: {error}");
    }
}

/// Whether a service may print now.
pub(crate) fn has_space() -> bool {
    QUEUE.state().has_space()
}

/// Waits until all that was queued is written, up to a second.
pub(crate) async fn flush() {
    // An elapsed timeout is no error: nobody may be reading.
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, QUEUE.until(QueueState::is_done)).await;
}

struct Queue {
    state: Mutex<QueueState>,
    /// Notified of every change of the state.
    changed: Condvar,
    /// Notified when lines have been taken or written.
    written: Notify,
}

struct QueueState {
    text: Vec<u8>,
    /// How many lines were dropped that no warning has reported yet.
    dropped: u64,
    has_thread: bool,
    /// The thread has taken lines and is writing them.
    is_writing: bool,
}

impl QueueState {
    fn has_space(&self) -> bool {
        self.text.len() < SERVICES_WAIT
    }

    fn is_done(&self) -> bool {
        self.text.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        // No code that holds the lock panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lines: &[u8], max: usize) -> io::Result<()> {
        let mut state = self.state();
        if !state.has_thread {
            let thread = std::thread::Builder::new().name("evconn-stderr".to_owned());
            thread.spawn(|| QUEUE.write_all())?;
            state.has_thread = true;
        }
        match state.text.len() + lines.len() <= max {
            true => state.text.extend_from_slice(lines),
            false => state.dropped += 1,
        }
        self.changed.notify_all();
        Ok(())
    }

    async fn until(&self, condition: impl Fn(&QueueState) -> bool) {
        loop {
            let written = self.written.notified();
            if condition(&self.state()) {
                return;
            }
            written.await;
        }
    }

    /// Writes for as long as the process lives.
    fn write_all(&self) {
        let mut text = Vec::new();
        loop {
            let dropped = self.take(&mut text);
            if dropped > 0 {
                tracing::warn!(
                    "standard error is not read as fast as it is written: {dropped} lines were dropped"
                );
            }
            // There is nowhere to report an error of standard error.
            let _ = io::stderr().write_all(&text);
            text.clear();
        }
    }

    /// Waits for lines and takes them. Once the queue is empty, returns how many lines were dropped instead: the
    /// warning finds space then.
    fn take(&self, text: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        self.notify_all();
        while state.is_done() {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        if state.text.is_empty() {
            return std::mem::take(&mut state.dropped);
        }
        std::mem::swap(&mut state.text, text);
        self.notify_all();
        0
    }

    fn notify_all(&self) {
        self.changed.notify_all();
        self.written.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn whoever_asks_waits_until_less_is_queued() {
        let queue = Queue {
            state: Mutex::new(QueueState {
                text: Vec::new(),
                dropped: 0,
                // Nobody writes.
                has_thread: true,
                is_writing: false,
            }),
            changed: Condvar::new(),
            written: Notify::new(),
        };
        let ready = || queue.until(QueueState::has_space);
        queue.push(&[b'x'; SERVICES_WAIT - 1], MAX).expect("queued");
        assert!(ready().now_or_never().is_some());
        queue.push(b"\n", MAX).expect("queued");
        let mut waiting = Box::pin(ready());
        assert!((&mut waiting).now_or_never().is_none());
        queue.take(&mut Vec::new());
        assert!(waiting.now_or_never().is_some());
    }
}
