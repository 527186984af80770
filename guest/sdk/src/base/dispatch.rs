//! The loop.

use super::core::{Core, Task};
use crate::slab::Key;
use std::rc::Rc;
use wasi::clocks::monotonic_clock;

/// Why [`EventBase::dispatch`](crate::EventBase::dispatch) has returned.
///
/// ```
/// # use evconn_guest::Ended;
/// assert_ne!(Ended::NothingLeft, Ended::Exit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left to wait for.
    NothingLeft,
    /// [`EventBase::loop_exit`](crate::EventBase::loop_exit) was called.
    Exit,
    /// [`EventBase::loop_break`](crate::EventBase::loop_break) was called.
    Break,
    /// The loop is running already: this call came from one of its callbacks, and had no effect.
    Nested,
}

impl Core {
    /// Iterates until the loop ends.
    pub(super) fn dispatch(self: &Rc<Self>) -> Ended {
        self.run(|| {
            loop {
                if let Some(ended) = self.iterate(true) {
                    return ended;
                }
            }
        })
    }

    /// Iterates once. Returns None if the loop has not ended.
    pub(super) fn dispatch_once(self: &Rc<Self>, wait: bool) -> Option<Ended> {
        let mut ended = None;
        let outcome = self.run(|| {
            ended = self.iterate(wait);
            Ended::NothingLeft
        });
        match outcome {
            Ended::Nested => Some(outcome),
            _ => ended,
        }
    }

    fn run(&self, iterate: impl FnOnce() -> Ended) -> Ended {
        if self.is_running.replace(true) {
            return Ended::Nested;
        }
        self.breaks.set(false);
        let ended = iterate();
        self.is_running.set(false);
        ended
    }

    /// Polls once, and calls the callbacks. Returns None if the loop is to continue.
    fn iterate(self: &Rc<Self>, wait: bool) -> Option<Ended> {
        self.prepare();
        self.retry_starved();
        if self.is_breaking() {
            return Some(Ended::Break);
        }
        if !self.poll(wait) {
            let exits = self.exits.take();
            return Some(if exits {
                Ended::Exit
            } else {
                Ended::NothingLeft
            });
        }
        self.call_ready();
        self.call_due();
        if self.is_breaking() {
            return Some(Ended::Break);
        }
        if self.exits.take() {
            // Sends what the callbacks have written, as far as that is possible without waiting.
            self.prepare();
            return Some(Ended::Exit);
        }
        None
    }

    /// Prepares the scheduled sources. Those that are scheduled meanwhile are prepared in the next
    /// iteration, so that two sources which schedule each other cannot keep the loop from polling. So
    /// are those that are left when a callback breaks the loop.
    fn prepare(self: &Rc<Self>) {
        let mut scheduled = self.scheduled.take();
        for source in scheduled.drain(..) {
            if self.is_breaking() {
                self.schedule(source);
            } else if let Some(source) = source.upgrade() {
                source.prepare(self);
            }
        }
        let mut later = self.scheduled.borrow_mut();
        if later.is_empty() {
            // The allocation is reused.
            *later = scheduled;
        }
    }

    /// Writes to outputs that the host reported as ready, and that then accepted no bytes.
    ///
    /// tokio gives each task a budget of ready operations, which is renewed when the task really waits.
    /// On wasmtime-wasi, polling 128 ready outputs consumes the whole budget; then none of them accepts
    /// a byte, and the next poll is the same. Polling a single one of them with an exhausted budget makes
    /// the task wait, and renews it.
    fn retry_starved(self: &Rc<Self>) {
        let rounds = self.starved.borrow().len();
        for _ in 0..rounds {
            let starved = self.starved.take();
            // Some may have been deregistered.
            let Some(first) = starved.iter().find(|key| self.is_registered(**key)) else {
                return;
            };
            self.poll_one(*first);
            self.call(starved);
            self.prepare();
        }
        // Outputs that are still starved are reported again after the next poll.
        self.starved.take();
    }

    fn call_ready(self: &Rc<Self>) {
        let mut ready = self.ready.take();
        self.call(ready.drain(..));
        self.ready.set(ready);
    }

    fn call(self: &Rc<Self>, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            // A callback that ran before may have closed it.
            if let Some((source, interest)) = self.waiter(key)
                && !self.is_breaking()
            {
                source.ready(self, interest);
            }
        }
    }

    fn call_due(self: &Rc<Self>) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = monotonic_clock::now();
        let last = self.timers.borrow().last();
        while !self.is_breaking() {
            let due = self.timers.borrow_mut().take_due(now, last);
            match due {
                None => return,
                Some(Task::Exit) => self.exits.set(true),
                Some(Task::Alarm(alarm)) => alarm.ring(self),
                Some(Task::Timeout(source, interest)) => {
                    if let Some(source) = source.upgrade() {
                        source.ready(self, interest);
                    }
                }
            }
        }
    }
}
