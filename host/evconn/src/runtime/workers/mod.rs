//! The workers: threads that serve connections. Each has an event loop of its own, and a connection stays
//! with one worker from its first byte to its last: its data stays in the caches of one core, and
//! continuing with it never has to wake another core. The kernel schedules the workers; [`sharing`] helps
//! it to do so fairly.
//!
//! The first worker also accepts the connections of the listeners that a server creates. A listener that
//! was created elsewhere accepts on its own runtime, and guests that compute a lot continue in the
//! [background](super::background).

mod lag;
mod sharing;

pub(crate) use lag::LagMeasured;

use crate::log::with_log;
use futures_util::FutureExt;
use std::future::Future;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// The workers of a host.
pub(crate) struct Workers(Box<[Worker]>);

/// One worker thread.
struct Worker {
    runtime: Handle,
    /// The number of its tasks.
    tasks: Arc<AtomicUsize>,
    /// Dropped to end the worker. Its remaining tasks are dropped with it.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// Starts `count` workers, or one for each core that this process may use.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn start(count: Option<NonZero<usize>>) -> io::Result<Self> {
        let count = match count {
            Some(count) => count,
            None => std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        };
        (0..count.get())
            .map(|_| Worker::start())
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Returns how many there are, at least 1.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }

    /// Runs a future on the first worker, which accepts connections for all.
    pub async fn on_first<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let first = self.0.first()?;
        match first.runtime.spawn(with_log(task)).await {
            Ok(output) => Some(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    /// Spawns a task on the worker with the fewest tasks.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = |worker: &&Worker| worker.tasks.load(Ordering::Relaxed);
        if let Some(worker) = self.0.iter().min_by_key(tasks) {
            let counted = WorkerTask::new(&worker.tasks);
            // An async block would reserve memory for the task twice.
            let counted = task.map(move |()| drop(counted));
            worker.runtime.spawn(with_log(counted));
        }
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        // The thread comes first: a runtime for which there is none could not be dropped in an async context.
        let (runtimes, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("evconn-worker".to_owned())
            .spawn(move || run(&started, stopped))?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_park(sharing::offer_core)
            .build()?;
        let handle = runtime.handle().clone();
        // The thread waits for it.
        let _ = runtimes.send(runtime);
        Ok(Self {
            runtime: handle,
            tasks: Arc::default(),
            _stop: stop,
        })
    }
}

fn run(started: &mpsc::Receiver<Runtime>, stopped: oneshot::Receiver<()>) {
    let Ok(runtime) = started.recv() else {
        // It could not be built.
        return;
    };
    super::sys::prefer_short_slices();
    // The error means that the sender was dropped, which ends the worker.
    let _ = runtime.block_on(stopped);
    // A task may be reading a file. Nobody waits for it.
    runtime.shutdown_background();
}

/// One of a worker's tasks.
struct WorkerTask(Arc<AtomicUsize>);

impl WorkerTask {
    fn new(tasks: &Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(tasks))
    }
}

impl Drop for WorkerTask {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread::ThreadId;
    use std::time::Duration;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn tasks_go_to_who_has_the_fewest_and_stay_there() {
        let workers = Workers::start(NonZero::new(2)).expect("two threads");
        let (started, starts) = mpsc::channel();
        let mut ends = Vec::new();
        for _ in 0..4 {
            let started = started.clone();
            let (end, ended) = oneshot::channel::<()>();
            ends.push(end);
            workers.spawn(async move {
                let before = std::thread::current().id();
                started.send(before).expect("somebody listens");
                let _ = ended.await;
                started
                    .send(std::thread::current().id())
                    .expect("somebody listens");
            });
        }
        let next = || starts.recv_timeout(DEADLINE).expect("a task");
        let first: Vec<ThreadId> = (0..4).map(|_| next()).collect();
        drop(ends);
        let after: Vec<ThreadId> = (0..4).map(|_| next()).collect();
        for threads in [first, after] {
            let each: HashSet<_> = threads.iter().collect();
            assert_eq!(each.len(), 2);
            let of_one = threads.iter().filter(|thread| **thread == threads[0]);
            assert_eq!(of_one.count(), 2);
        }
    }

    #[test]
    fn a_task_that_panics_takes_nothing_with_it() {
        let workers = Workers::start(NonZero::new(1)).expect("a thread");
        workers.spawn(async { panic!("a panic that is part of the test") });
        let (done, is_done) = mpsc::channel();
        workers.spawn(async move { done.send(()).expect("somebody listens") });
        is_done.recv_timeout(DEADLINE).expect("it went on");
    }

    #[test]
    fn what_is_left_to_do_at_the_end_is_dropped() {
        let workers = Workers::start(NonZero::new(1)).expect("a thread");
        let (held, dropped) = mpsc::channel::<()>();
        workers.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(workers);
        let disconnected = dropped.recv_timeout(DEADLINE);
        assert_eq!(disconnected, Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
