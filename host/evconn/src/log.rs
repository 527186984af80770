//! Tasks that log where whoever starts them does.

use futures_util::future::Either;
use std::future::Future;
use std::sync::OnceLock;
use tracing::dispatcher;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

/// For a task that another thread may run: a program that has no subscriber for all of it may have one
/// for a part of it, which its own thread knows, and others do not.
pub(crate) fn with_log<F: Future>(task: F) -> impl Future<Output = F::Output> {
    match every_thread_logs() {
        true => Either::Left(task),
        false => Either::Right(task.with_current_subscriber()),
    }
}

/// Whether there was a subscriber for all of the program when this was asked first. One that came later
/// is as good as one for a part of it.
fn every_thread_logs() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    let logs = || dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>());
    // A new thread has what all have, and nothing else.
    *ANSWER.get_or_init(|| std::thread::spawn(logs).join().unwrap_or(false))
}
