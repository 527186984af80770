//! Work that blocks, on threads that may not be available.

use std::io;
use std::thread::Builder;
use tokio::sync::oneshot;

/// Runs work that may block on a thread of its own. If the future is dropped, the thread completes the work.
///
/// # Errors
/// If no thread can be started: the number of processes and threads is limited. (tokio's `spawn_blocking` panics
/// then.)
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, output) = oneshot::channel();
    let thread = Builder::new().name("evconn-blocking".to_owned());
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
