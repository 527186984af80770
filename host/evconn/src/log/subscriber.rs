//! Keeps the `tracing` subscriber of whoever starts a task.

use futures_util::future::Either;
use std::future::Future;
use std::sync::OnceLock;
use tracing::dispatcher;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

/// Keeps the current subscriber for a task that another thread may run. A program without a global
/// subscriber may have set one for its own thread, which other threads do not have.
pub(crate) fn with_log<F: Future>(task: F) -> impl Future<Output = F::Output> {
    match every_thread_logs() {
        true => Either::Left(task),
        false => Either::Right(task.with_current_subscriber()),
    }
}

/// Returns whether there was a global subscriber when this was first called. One that was set later is
/// treated like that of a thread.
fn every_thread_logs() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    let logs = || dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>());
    // A new thread has only the global subscriber.
    *ANSWER.get_or_init(|| std::thread::spawn(logs).join().unwrap_or(false))
}
