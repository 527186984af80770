//! The threads of the background. They run when no other thread needs the core, and always keep a small share of it.
//!
//! Each has an event loop of its own and runs the lightest of its guests first, a time slice or until it waits. A
//! worker takes no lock to pass on a guest or to wake one: it would wait for a thread that waits for a core.

use super::super::meter::{Meter, Now};
use super::super::sys::{lower_priority, prefer_short_slices};
use super::share::CpuShare;
use crate::log::with_log;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicUsize};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// A guest that is ready to run.
type Runnable = async_task::Runnable<Arc<Meter>>;

pub(super) struct Threads(Box<[Thread]>);

struct Thread {
    ready: UnboundedSender<Runnable>,
    /// The number of its guests.
    guests: Arc<AtomicUsize>,
    /// Dropped to end the thread. Its guests are dropped with it.
    _stop: oneshot::Sender<()>,
}

impl Threads {
    /// # Errors
    /// If one of them cannot be started.
    pub fn start(count: usize, share: CpuShare) -> io::Result<Self> {
        let threads = (0..count).map(|_| Thread::start(share));
        threads.collect::<io::Result<_>>().map(Self)
    }

    /// Runs a guest on the thread that has the fewest of them. If this future is dropped, the guest is dropped next
    /// on that thread.
    pub async fn run<T: Send + 'static>(
        &self,
        guest: impl Future<Output = T> + Send + 'static,
        meter: &Arc<Meter>,
    ) -> T {
        let guests = |thread: &&Thread| thread.guests.load(atomic::Ordering::Relaxed);
        let Some(thread) = self.0.iter().min_by_key(guests) else {
            return guest.await;
        };
        let _counted = Counted::new(&thread.guests);
        let ready = thread.ready.clone();
        let (runnable, task) = async_task::Builder::new()
            .metadata(Arc::clone(meter))
            .propagate_panic(true)
            .spawn(
                |_| with_log(guest),
                move |runnable| {
                    // It fails if the thread has ended, which drops the guest.
                    let _ = ready.send(runnable);
                },
            );
        runnable.schedule();
        match task.fallible().await {
            Some(output) => output,
            // The host is being dropped, and so is the caller.
            None => pending().await,
        }
    }
}

impl Thread {
    fn start(share: CpuShare) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (ready, guests) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("evconn-low".to_owned())
            .spawn(move || {
                lower_priority(share.nice_levels());
                // A worker that is woken waits for the end of such a slice.
                prefer_short_slices();
                run(runtime, guests, stopped);
            })?;
        Ok(Self {
            ready,
            guests: Arc::default(),
            _stop: stop,
        })
    }
}

fn run(runtime: Runtime, guests: UnboundedReceiver<Runnable>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        tokio::select! {
            // The error means that the sender was dropped.
            _ = stopped => {}
            () = run_lightest(guests) => {}
        }
    });
    // A guest's task may be reading a file. Nobody waits for it.
    runtime.shutdown_background();
}

/// Runs guests until none can come any more.
async fn run_lightest(mut guests: UnboundedReceiver<Runnable>) {
    let mut waiting = BinaryHeap::new();
    let mut count = 0;
    loop {
        while let Ok(runnable) = guests.try_recv() {
            count += 1;
            waiting.push(Ready::new(runnable, count));
        }
        if let Some(Ready { runnable, .. }) = waiting.pop() {
            runnable.run();
            // Timers and sockets of others may be ready.
            tokio::task::yield_now().await;
        } else if let Some(runnable) = guests.recv().await {
            count += 1;
            waiting.push(Ready::new(runnable, count));
        } else {
            return;
        }
    }
}

/// A guest that is ready, in the order in which they run: who has used least, and came first.
struct Ready {
    used: u32,
    number: u64,
    runnable: Runnable,
}

impl Ready {
    fn new(runnable: Runnable, number: u64) -> Self {
        Self {
            used: runnable.metadata().excess(Now::read()),
            number,
            runnable,
        }
    }
}

impl Ord for Ready {
    /// The greatest one is first in the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.used, other.number).cmp(&(self.used, self.number))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ready {}

/// One of a thread's guests.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(guests: &Arc<AtomicUsize>) -> Self {
        guests.fetch_add(1, atomic::Ordering::Relaxed);
        Self(Arc::clone(guests))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, atomic::Ordering::Relaxed);
    }
}
