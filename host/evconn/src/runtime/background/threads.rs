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
    let mut queue = Queue::default();
    loop {
        while let Ok(runnable) = guests.try_recv() {
            queue.push(runnable, Now::read());
        }
        if let Some(runnable) = queue.pop(Now::read()) {
            runnable.run();
            // Timers and sockets of others may be ready.
            tokio::task::yield_now().await;
        } else if let Some(runnable) = guests.recv().await {
            queue.push(runnable, Now::read());
        } else {
            return;
        }
    }
}

/// How often the order of those that are ready is looked at again, in nanoseconds.
const INTERVAL: u64 = 100_000_000;

/// The guests that are ready: first those of the peer that has used least, of these the lightest, and of several such the
/// one that came first. So a connection that happened to be expensive does not wait for all those that a heavy peer
/// begins.
///
/// Little of what a guest has used is forgotten for as long as it is in the queue: otherwise those that always want to run
/// would be the lightest ones because they seldom can, and one that does little would wait for all of them.
struct Queue<R> {
    ready: BinaryHeap<Ready<R>>,
    count: u64,
    /// When they were put in order.
    ordered: Now,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self {
            ready: BinaryHeap::new(),
            count: 0,
            ordered: Now::read(),
        }
    }
}

impl<R: HasMeter> Queue<R> {
    fn push(&mut self, runnable: R, now: Now) {
        self.count += 1;
        self.ready.push(Ready {
            used: used(runnable.meter(), now, now),
            number: self.count,
            since: now,
            runnable,
        });
    }

    fn pop(&mut self, now: Now) -> Option<R> {
        if now.0.saturating_sub(self.ordered.0) >= INTERVAL {
            self.order(now);
        }
        let Ready {
            since, runnable, ..
        } = self.ready.pop()?;
        runnable.meter().forget_less(since, now);
        Some(runnable)
    }

    /// Puts them in order: what peers have used changes while their guests wait.
    fn order(&mut self, now: Now) {
        let mut ready = std::mem::take(&mut self.ready).into_vec();
        for guest in &mut ready {
            guest.used = used(guest.runnable.meter(), guest.since, now);
        }
        self.ready = ready.into();
        self.ordered = now;
    }
}

/// What the peer has used, and the guest, which has been ready since then. Without a known peer, a guest is on its own.
fn used(meter: &Meter, since: Now, now: Now) -> [u32; 2] {
    let excess = meter.excess_of_ready(since, now);
    [meter.used_by_peer().unwrap_or(excess), excess]
}

trait HasMeter {
    fn meter(&self) -> &Meter;
}

impl HasMeter for Runnable {
    fn meter(&self) -> &Meter {
        self.metadata()
    }
}

/// A guest that is ready, in the order in which they run.
struct Ready<R> {
    used: [u32; 2],
    number: u64,
    since: Now,
    runnable: R,
}

impl<R> Ord for Ready<R> {
    /// The greatest one is first in the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.used, other.number).cmp(&(self.used, self.number))
    }
}

impl<R> PartialOrd for Ready<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> PartialEq for Ready<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R> Eq for Ready<R> {}

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

#[cfg(test)]
mod tests {
    use super::super::super::meter::Payer;
    use super::*;
    use crate::metrics::Recorder;
    use std::time::Duration;

    impl HasMeter for Arc<Meter> {
        fn meter(&self) -> &Meter {
            self
        }
    }

    /// A time in milliseconds, since one that is later than any begin of a meter.
    fn at(time: u64) -> Now {
        Now((1_000_000 + time) * 1_000_000)
    }

    fn used(milliseconds: u64, now: Now) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(None, &Recorder::default()));
        meter.charge_excess(milliseconds * 1_000_000, now);
        meter
    }

    #[test]
    fn who_does_little_does_not_wait_for_those_who_always_want_to_run() {
        let mut queue = Queue::default();
        for _ in 0..100 {
            queue.push(used(4, at(0)), at(0));
        }
        // It has been waiting for its peer, and is asked something two seconds later. The others could run now and then.
        let little = used(5, at(0));
        for time in (0..2_000).step_by(20) {
            let guest = queue.pop(at(time)).expect("it is ready");
            guest.charge_excess(1_000_000, at(time));
            queue.push(guest, at(time));
        }
        queue.push(Arc::clone(&little), at(2_000));
        let next = queue.pop(at(2_000)).expect("it is ready");
        assert!(Arc::ptr_eq(&next, &little));
    }

    struct Peer(Duration);

    impl Payer for Peer {
        fn charge(&self, _: Duration) {}

        fn debt(&self) -> Duration {
            Duration::ZERO
        }

        fn used(&self) -> Duration {
            self.0
        }
    }

    #[test]
    fn who_was_expensive_once_does_not_wait_for_those_whom_a_heavy_peer_begins() {
        let mut queue = Queue::default();
        let of_peer = |milliseconds, peer| {
            let meter = used(milliseconds, at(0));
            meter.set_payer(Box::new(Peer(Duration::from_millis(peer))));
            meter
        };
        let good = of_peer(100, 100);
        for guest in [of_peer(12, 200), Arc::clone(&good), of_peer(13, 200)] {
            queue.push(guest, at(0));
        }
        let next = queue.pop(at(0)).expect("it is ready");
        assert!(Arc::ptr_eq(&next, &good));
    }

    #[test]
    fn who_waits_comes_before_new_ones_in_time() {
        let mut queue = Queue::default();
        let heavy = used(1_000, at(0));
        queue.push(Arc::clone(&heavy), at(0));
        let is_next = |time, queue: &mut Queue<_>| {
            queue.push(used(12, at(time)), at(time));
            Arc::ptr_eq(&queue.pop(at(time)).expect("it is ready"), &heavy)
        };
        assert!(!is_next(1_000, &mut queue));
        assert!(is_next(10_000, &mut queue));
    }

    #[test]
    fn what_was_used_is_forgotten_while_a_guest_waits_for_something_else() {
        let mut queue = Queue::default();
        let guest = used(8, at(0));
        queue.push(Arc::clone(&guest), at(1_000));
        queue.pop(at(5_000)).expect("it is ready");
        assert_eq!(guest.excess(at(5_000)), 4_000);
        assert_eq!(guest.excess(at(6_000)), 2_000);
    }
}
