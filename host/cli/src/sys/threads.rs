//! Event loops, and work that blocks, on descriptors and threads that may not be available.

use std::io;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::thread;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Returns an event loop for this thread.
///
/// # Errors
/// If there are too few descriptors for it. (tokio panics if some are available, but none for signals.)
pub fn event_loop() -> io::Result<Runtime> {
    #[cfg(unix)]
    drop(three_pairs()?);
    Builder::new_current_thread().enable_all().build()
}

/// Opens as many descriptors as an event loop with signals opens at first.
#[cfg(unix)]
fn three_pairs() -> io::Result<[(UnixStream, UnixStream); 3]> {
    Ok([
        UnixStream::pair()?,
        UnixStream::pair()?,
        UnixStream::pair()?,
    ])
}

/// Runs work that may block on a thread of its own. If the future is dropped, the thread completes the work.
///
/// # Errors
/// If no thread can be started: the number of processes and threads is limited. (tokio's `spawn_blocking` panics
/// then.)
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, output) = oneshot::channel();
    let thread = thread::Builder::new().name("evconn-blocking".to_owned());
    let started = thread.spawn(move || {
        // The output may not be needed any more.
        let _ = sender.send(work());
    });
    started
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start a thread: {error}")))?;
    output
        .await
        .map_err(|_| io::Error::other("a thread has panicked"))
}
