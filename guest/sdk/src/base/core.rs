//! The state that all handles of an event base share, and the traits of the objects that it calls.

use super::closing_limits::ClosingLimits;
use super::polls::Polls;
use super::timers::{TimerKey, Timers};
use crate::remains::{self, Remains};
use crate::slab::{Key, Slab};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use wasi::clocks::monotonic_clock::{self, Instant};
use wasi::io::poll::Pollable;

/// What a source waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// A connection can be accepted, bytes can be read, or a connect is done.
    Input,
    /// Bytes can be written.
    Output,
    /// Nothing was read for the length of a timeout.
    InputTimeout,
    /// Nothing was written for the length of a timeout.
    OutputTimeout,
}

/// Something that waits in an event base: a listener, a connection, a watch, or a connection that is
/// being closed. The loop calls it with nothing borrowed.
pub trait Source {
    /// Called when something that it waits for may be ready.
    fn ready(self: Rc<Self>, core: &Rc<Core>, interest: Interest);

    /// Called before the loop waits, once for each [`Core::schedule`]: does what can be done without
    /// waiting, and registers the pollables to wait for.
    fn prepare(self: Rc<Self>, core: &Rc<Core>);

    /// Called when the event base that owns it is dropped. Returns the connection that is to be closed.
    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains>;
}

/// A timer of the program.
pub trait Alarm {
    /// Called when it is due.
    fn ring(self: Rc<Self>, core: &Rc<Core>);
}

/// What happens when a timer is due.
pub enum Task {
    /// The loop ends.
    Exit,
    /// A timer of the program is called.
    Alarm(Rc<dyn Alarm>),
    /// A timeout of a source has passed.
    Timeout(Weak<dyn Source>, Interest),
}

/// A source that is called when a pollable is ready.
struct Waiter {
    source: Weak<dyn Source>,
    interest: Interest,
}

/// The state that the handles of an event base share.
#[derive(Default)]
pub struct Core {
    polls: RefCell<Polls<Waiter>>,
    pub(super) timers: RefCell<Timers<Task>>,
    /// Sources to be prepared before the loop waits.
    pub(super) scheduled: RefCell<Vec<Weak<dyn Source>>>,
    /// Sources that live until they are closed, whether or not the program holds a handle.
    owned: RefCell<Slab<Rc<dyn Source>>>,
    /// Outputs that were ready, and then accepted no bytes: see `Core::retry_starved`.
    pub(super) starved: RefCell<Vec<Key>>,
    pub(crate) closing: ClosingLimits,
    /// Listeners that pause because too many connections are being closed.
    below_limit: RefCell<Vec<Weak<dyn Source>>>,
    pub(super) is_running: Cell<bool>,
    pub(super) exits: Cell<bool>,
    pub(super) breaks: Cell<bool>,
    /// The time, once it was asked for in this iteration of the loop.
    pub(super) now: Cell<Option<Instant>>,
    /// The keys of pollables that are ready. The vector is reused in each iteration.
    pub(super) ready: Cell<Vec<Key>>,
}

impl Core {
    /// Schedules `source` to be prepared before the loop waits again.
    pub(crate) fn schedule(&self, source: Weak<dyn Source>) {
        self.scheduled.borrow_mut().push(source);
    }

    /// Reports that the output with this key was ready, and accepted no bytes.
    pub(crate) fn report_starved(&self, output: Key) {
        self.starved.borrow_mut().push(output);
    }

    /// Owns `source` until [`Core::release`].
    pub(crate) fn own(&self, source: Rc<dyn Source>) -> Key {
        self.owned.borrow_mut().add(source)
    }

    pub(crate) fn release(&self, key: Key) {
        let released = self.owned.borrow_mut().remove(key);
        // Dropped after the borrow has ended: its drop may release others.
        drop(released);
    }

    /// Registers a pollable. `source` is called with `interest` each time it is ready.
    pub(crate) fn register(
        &self,
        pollable: Pollable,
        source: Weak<dyn Source>,
        interest: Interest,
    ) -> Key {
        let waiter = Waiter { source, interest };
        self.polls.borrow_mut().add(pollable, waiter)
    }

    /// Drops a registered pollable, so that its parent resource can be dropped.
    pub(crate) fn deregister(&self, key: Key) {
        drop(self.take_pollable(key));
    }

    /// Deregisters a pollable, and returns it.
    pub(crate) fn take_pollable(&self, key: Key) -> Option<Pollable> {
        self.polls.borrow_mut().remove(key)
    }

    pub(super) fn is_registered(&self, key: Key) -> bool {
        self.waiter(key).is_some()
    }

    pub(super) fn waiter(&self, key: Key) -> Option<(Rc<dyn Source>, Interest)> {
        let polls = self.polls.borrow();
        let waiter = polls.waiter(key)?;
        Some((waiter.source.upgrade()?, waiter.interest))
    }

    pub(super) fn poll_one(&self, key: Key) {
        self.polls.borrow().poll_one(key);
    }

    /// Finds out which pollables are ready. Returns false if nothing is to be waited for.
    pub(super) fn poll(&self, wait: bool) -> bool {
        let mut polls = self.polls.borrow_mut();
        let mut timers = self.timers.borrow_mut();
        let is_scheduled = !self.scheduled.borrow().is_empty();
        if polls.is_empty() && timers.is_empty() {
            return is_scheduled;
        }
        let at_once = (!wait || is_scheduled || self.exits.get())
            .then(|| monotonic_clock::subscribe_duration(0));
        let mut ready = self.ready.take();
        polls.poll([timers.pollable(), at_once.as_ref()], &mut ready);
        self.ready.set(ready);
        self.now.set(None);
        true
    }

    pub(crate) fn add_timeout(
        &self,
        at: Instant,
        source: Weak<dyn Source>,
        interest: Interest,
    ) -> TimerKey {
        let task = Task::Timeout(source, interest);
        self.timers.borrow_mut().add(at, task)
    }

    pub(crate) fn remove_timer(&self, key: TimerKey) {
        let removed = self.timers.borrow_mut().remove(key);
        // Dropped after the borrow has ended: a closure may own what removes others.
        drop(removed);
    }

    /// Returns the time at which the loop woke up, or a little later: precise enough for timeouts.
    pub(crate) fn now(&self) -> Instant {
        let now = self.now.get().unwrap_or_else(monotonic_clock::now);
        self.now.set(Some(now));
        now
    }

    /// Returns whether the loop is to end before it calls another callback.
    pub(crate) fn is_breaking(&self) -> bool {
        self.breaks.get()
    }

    /// Schedules `listener` once fewer connections are being closed than the limit allows.
    pub(crate) fn schedule_below_limit(&self, listener: Weak<dyn Source>) {
        self.below_limit.borrow_mut().push(listener);
    }

    pub(super) fn set_max_closing(&self, max: usize) {
        self.closing.set_max(max);
        self.resume_listeners();
    }

    /// Counts a connection that was being closed, and is closed now.
    pub(super) fn has_closed(&self) {
        self.closing.decrement();
        self.resume_listeners();
    }

    fn resume_listeners(&self) {
        if !self.closing.is_reached() {
            for listener in self.below_limit.take() {
                self.schedule(listener);
            }
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Pollables are dropped before their parent resources, which others may own; then closures, and
        // then the connections.
        drop(std::mem::take(self.polls.get_mut()));
        let tasks = self.timers.get_mut().take_all();
        drop(tasks);
        let owned = self.owned.get_mut().take_all();
        let core = &*self;
        let remains = owned.into_iter().filter_map(|source| source.abandon(core));
        remains::close_now(remains.collect());
    }
}
