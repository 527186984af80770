//! Whether the guest of a store has nothing to do but to wait for what the host does.
//!
//! A store of WASI 0.3 runs an event loop, whose future is pending for other reasons, too: a task of the guest is
//! interrupted at the end of its time slice, or has given way to others; then the loop is woken at once. Or a task
//! waits within a function of the host, and all others with it; then the loop is not reached when it is polled again.

use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
pub struct Idle {
    /// Whether the event loop was reached since this was reset.
    is_reached: AtomicBool,
    woken: Arc<Woken>,
}

impl Idle {
    /// To be called by a future that the event loop polls whenever it has nothing else to do.
    pub fn event_loop_is_reached(&self) {
        self.is_reached.store(true, Ordering::Relaxed);
    }

    /// Polls an event loop. Returns also whether its guest is idle, if somebody `asks` for that.
    pub fn poll<F: Future>(
        &self,
        cx: &Context<'_>,
        mut run: Pin<&mut F>,
        asks: impl FnOnce() -> bool,
    ) -> (Poll<F::Output>, bool) {
        self.woken.task.register(cx.waker());
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut own = Context::from_waker(&waker);
        let polled = self.poll_once(run.as_mut(), &mut own);
        if polled.is_ready() || self.woken.is_woken() || !asks() {
            return (polled, false);
        }
        // What the loop has begun may wait within the host.
        let polled = self.poll_once(run, &mut own);
        let is_idle = self.is_reached.load(Ordering::Relaxed) && !self.woken.is_woken();
        (polled, is_idle)
    }

    fn poll_once<F: Future>(&self, run: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.is_reached.store(false, Ordering::Relaxed);
        self.woken.is_woken.store(false, Ordering::Release);
        run.poll(cx)
    }
}

/// Wakes a task, and notes that.
#[derive(Default)]
struct Woken {
    task: AtomicWaker,
    is_woken: AtomicBool,
}

impl Woken {
    fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::Acquire)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker_ref;
    use std::future::{pending, poll_fn};
    use std::pin::pin;

    fn is_idle(idle: &Idle, run: impl Future<Output = ()>) -> bool {
        let cx = Context::from_waker(noop_waker_ref());
        idle.poll(&cx, pin!(run), || true).1
    }

    #[test]
    fn a_loop_that_is_reached_and_not_woken_is_idle() {
        let idle = Idle::default();
        let waits = poll_fn(|_| {
            idle.event_loop_is_reached();
            Poll::Pending
        });
        assert!(is_idle(&idle, waits));
        let cx = Context::from_waker(noop_waker_ref());
        let waits = poll_fn(|_| {
            idle.event_loop_is_reached();
            Poll::<()>::Pending
        });
        assert!(!idle.poll(&cx, pin!(waits), || false).1, "nobody asks");
    }

    #[test]
    fn a_loop_that_runs_again_at_once_is_not_idle() {
        let idle = Idle::default();
        let yields = poll_fn(|cx| {
            idle.event_loop_is_reached();
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(!is_idle(&idle, yields));
        assert!(!is_idle(&idle, async {}), "it has ended");
    }

    #[test]
    fn a_loop_that_waits_within_the_host_is_not_idle() {
        let idle = Idle::default();
        let within = async {
            idle.event_loop_is_reached();
            pending().await
        };
        assert!(!is_idle(&idle, within));
    }
}
