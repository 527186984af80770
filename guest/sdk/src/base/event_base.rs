use super::closing::{self, Reaper};
use super::polls::Polls;
use super::source::{Interest, Source};
use super::timer::{self, Timer};
use super::timers::Timers;
use super::timers::{Task, TimerKey, nanoseconds};
use crate::slab::{Key, Slab};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock::{self, Instant};
use wasi::io::poll::Pollable;

/// A loop, and what it waits for: libevent's `event_base`.
///
/// It is a cheap handle; its clones are one base. A program needs one, but may have several, one
/// after the other. It owns timers and [`BufferedConnection`](crate::BufferedConnection)s; a
/// [`Listener`](crate::Listener) belongs to who holds its handle, and so does a
/// [`Watch`](crate::Watch) that is not detached.
///
/// Dropping the last handle closes the connections that are left. It waits for 20 ms at most: what the
/// kernel has not taken of their output by then is lost.
///
/// # Cost
/// A turn of the loop is one call of `wasi:io/poll`, which takes the host time for each thing that
/// is waited for, ready or not. The base keeps its pollables from one turn to the next, so that
/// an idle connection costs no call to the host, and makes no allocation.
///
/// ```no_run
/// use evconn_guest::EventBase;
/// use std::time::Duration;
///
/// let base = EventBase::new();
/// base.timer(Duration::from_secs(1), |_| println!("one second later"));
/// base.dispatch();
/// ```
#[derive(Clone)]
pub struct EventBase(pub(crate) Rc<Core>);

/// Why [`EventBase::dispatch`] has returned.
///
/// ```
/// # use evconn_guest::Ended;
/// assert_ne!(Ended::NothingLeft, Ended::Exit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left to wait for.
    NothingLeft,
    /// [`EventBase::loop_exit`] was called.
    Exit,
    /// [`EventBase::loop_break`] was called.
    Break,
    /// The loop runs already: this was called in one of its callbacks, and did nothing.
    Nested,
}

/// What the handles share.
#[derive(Default)]
pub struct Core {
    pub(super) polls: RefCell<Polls>,
    pub(super) timers: RefCell<Timers>,
    /// Who has to look at what to wait for before the loop waits.
    changed: RefCell<Vec<Weak<dyn Source>>>,
    /// What lives until it is closed, whoever else knows it.
    owned: RefCell<Slab<Rc<dyn Source>>>,
    /// Outputs that were ready, and then took nothing: see [`EventBase::relieve`].
    starved: RefCell<Vec<Key>>,
    pub(crate) reaper: Reaper,
    runs: Cell<bool>,
    exits: Cell<bool>,
    breaks: Cell<bool>,
    /// The time, once somebody has asked for it in this turn.
    now: Cell<Option<Instant>>,
    /// Room for the keys of what is ready.
    ready: Cell<Vec<Key>>,
}

impl Default for EventBase {
    fn default() -> Self {
        Self::new()
    }
}

impl EventBase {
    /// A base with nothing to wait for.
    ///
    /// ```no_run
    /// let base = evconn_guest::EventBase::new();
    /// assert_eq!(base.dispatch(), evconn_guest::Ended::NothingLeft);
    /// ```
    pub fn new() -> Self {
        Self(Rc::default())
    }

    /// Wait and call callbacks until nothing is left to wait for, or until the loop is told to end:
    /// `event_base_dispatch`.
    ///
    /// Something is left as long as a listener accepts or backs off, a connection reads, writes,
    /// connects, is watched or is being closed, or a timer is pending.
    ///
    /// ```no_run
    /// use evconn_guest::{Ended, EventBase};
    ///
    /// let base = EventBase::new();
    /// base.timer(std::time::Duration::ZERO, |base| base.loop_break());
    /// assert_eq!(base.dispatch(), Ended::Break);
    /// ```
    pub fn dispatch(&self) -> Ended {
        self.run(|| {
            loop {
                if let Some(ended) = self.turn(true) {
                    return ended;
                }
            }
        })
    }

    /// Wait until something is ready, call the callbacks for all that is, and return: `event_base_loop`
    /// with `EVLOOP_ONCE`. None if there may be more to do.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// # let mut work_is_left = || false;
    /// while base.run_once().is_none() && work_is_left() {}
    /// ```
    pub fn run_once(&self) -> Option<Ended> {
        self.run_turn(true)
    }

    /// As [`run_once`](Self::run_once), but without waiting: `EVLOOP_NONBLOCK`.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// # let compute = || {};
    /// while base.run_ready().is_none() {
    ///     compute();
    /// }
    /// ```
    pub fn run_ready(&self) -> Option<Ended> {
        self.run_turn(false)
    }

    /// End the loop after this time, once the callbacks have run for all that is ready then:
    /// `event_base_loopexit`. After no time, it ends with the turn that it is in.
    ///
    /// Until then it counts as something to wait for. Before [`dispatch`](Self::dispatch) it is
    /// the next one that ends.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// base.loop_exit(Duration::from_secs(2));
    /// base.dispatch();
    /// ```
    pub fn loop_exit(&self, after: Duration) {
        if after.is_zero() {
            self.0.exits.set(true);
        } else {
            let at = monotonic_clock::now().saturating_add(nanoseconds(after));
            self.0.timers.borrow_mut().add(at, Task::Exit);
        }
    }

    /// End the loop as soon as the callback that runs now returns: `event_base_loopbreak`. What is
    /// ready besides is found again by the next [`dispatch`](Self::dispatch). Where no loop runs it
    /// has no effect.
    ///
    /// ```no_run
    /// # use evconn_guest::EventBase;
    /// let base = EventBase::new();
    /// base.interval(std::time::Duration::from_secs(1), |base| base.loop_break());
    /// base.dispatch();
    /// ```
    pub fn loop_break(&self) {
        self.0.breaks.set(true);
    }

    /// Call `function` once, after `after`.
    ///
    /// # Cost
    /// One pollable for all timers together. Setting one up or cancelling it takes time that grows
    /// with the logarithm of their number.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// base.timer(Duration::from_millis(250), |_| println!("now"));
    /// base.dispatch();
    /// ```
    pub fn timer(&self, after: Duration, function: impl FnOnce(&Self) + 'static) -> Timer {
        let mut function = Some(function);
        let once = move |base: &Self| {
            if let Some(function) = function.take() {
                function(base);
            }
        };
        Timer(timer::Alarm::start(self, after, None, once))
    }

    /// Call `function` again and again, each time `period` after the last call: libevent's
    /// `EV_PERSIST`. A period of zero calls it in every turn.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// let ticks = base.interval(Duration::from_secs(1), |_| println!("tick"));
    /// base.timer(Duration::from_secs(10), move |_| ticks.cancel());
    /// base.dispatch();
    /// ```
    pub fn interval(&self, period: Duration, function: impl FnMut(&Self) + 'static) -> Timer {
        Timer(timer::Alarm::start(self, period, Some(period), function))
    }

    /// How many connections were closed whose last bytes the kernel has not taken yet. They are
    /// kept until it has: see [`set_max_closing`](Self::set_max_closing).
    ///
    /// ```no_run
    /// assert_eq!(evconn_guest::EventBase::new().closing(), 0);
    /// ```
    pub fn closing(&self) -> usize {
        self.0.reaper.len()
    }

    /// While `count` connections are being closed, the listeners of this base accept no more. At
    /// least 1. Default: 1,024.
    ///
    /// A connection whose peer does not read cannot be closed without waiting or losing what it
    /// was sent, and on some hosts not at all: wasmtime's drop of an output stream waits, and with
    /// it everyone else. So it is kept, with the bytes that are left, until the kernel has taken
    /// them, the peer is gone, or it has [taken nothing for too long](Self::set_linger).
    ///
    /// ```no_run
    /// let base = evconn_guest::EventBase::new();
    /// base.set_max_closing(100);
    /// ```
    pub fn set_max_closing(&self, count: usize) {
        self.0.reaper.set_max(self, count.max(1));
    }

    /// Give a connection up that is being closed, and whose peer has taken nothing for that long, or has
    /// gone on sending for as long after it was sent everything: the bytes that are left are dropped.
    /// None: never. Default: 10 seconds. A peer that is slow gets everything, as long as it reads.
    ///
    /// Giving up never waits. What comes of the connection then is the host's business, which has
    /// already taken some of the bytes:
    /// - `evconn` lets it go at once. It sends those bytes in the background, and resets the
    ///   connection if that takes 10 more seconds.
    /// - The `wasmtime` command holds on to it until the kernel has taken its last write of at most
    ///   64 KiB, or the peer is gone. There is no way to make that come sooner which does not stall the
    ///   whole program, so the connection goes on counting for [`set_max_closing`](Self::set_max_closing).
    ///
    /// It concerns connections that are closed from then on.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// base.set_linger(Some(Duration::from_secs(60)));
    /// ```
    pub fn set_linger(&self, time: Option<Duration>) {
        self.0.reaper.set_linger(time);
    }

    fn run_turn(&self, wait: bool) -> Option<Ended> {
        let mut ended = None;
        let nested = self.run(|| {
            ended = self.turn(wait);
            Ended::NothingLeft
        });
        match nested {
            Ended::Nested => Some(nested),
            _ => ended,
        }
    }

    fn run(&self, turns: impl FnOnce() -> Ended) -> Ended {
        if self.0.runs.replace(true) {
            return Ended::Nested;
        }
        self.0.breaks.set(false);
        let ended = turns();
        self.0.runs.set(false);
        ended
    }

    /// One wait, and what comes of it. None if the loop is to go on.
    fn turn(&self, wait: bool) -> Option<Ended> {
        self.settle();
        self.relieve();
        if self.breaks() {
            return Some(Ended::Break);
        }
        if !self.poll(wait) {
            let exits = self.0.exits.take();
            return Some(if exits {
                Ended::Exit
            } else {
                Ended::NothingLeft
            });
        }
        self.call_ready();
        self.call_due();
        if self.breaks() {
            return Some(Ended::Break);
        }
        if self.0.exits.take() {
            // What the callbacks have written is sent, as far as that takes no waiting.
            self.settle();
            return Some(Ended::Exit);
        }
        None
    }

    /// Have all that has changed say what to wait for. What changes meanwhile comes next time: two
    /// that change each other must not keep the loop from waiting. So does what is left when a callback
    /// breaks the loop.
    fn settle(&self) {
        let mut changed = self.0.changed.take();
        for source in changed.drain(..) {
            if self.breaks() {
                self.0.changed(source);
            } else if let Some(source) = source.upgrade() {
                source.settle(self);
            }
        }
        let mut later = self.0.changed.borrow_mut();
        if later.is_empty() {
            // Its room is used again.
            *later = changed;
        }
    }

    /// Let those write to whom the host has said that they may, and then that they may not.
    ///
    /// Wasmtime gives a program a budget of things that are ready, which is renewed when the program
    /// really waits. With 128 outputs that are ready, a poll uses up all of it, then none of them takes
    /// anything, and the same again, for ever. To wait for a single one of them, with nothing left of the
    /// budget, renews it.
    fn relieve(&self) {
        let rounds = self.0.starved.borrow().len();
        for _ in 0..rounds {
            let starved = self.0.starved.take();
            // Some may not be waited for any more.
            let waited_for = |key: &&Key| self.0.polls.borrow().waiter(**key).is_some();
            let Some(first) = starved.iter().find(waited_for) else {
                return;
            };
            self.0.polls.borrow().poll_one(*first);
            self.call(starved);
            self.settle();
        }
        // Who is still among them is found again by the poll.
        self.0.starved.take();
    }

    /// Find out what is ready. False if there is nothing to wait for.
    fn poll(&self, wait: bool) -> bool {
        let mut polls = self.0.polls.borrow_mut();
        let mut timers = self.0.timers.borrow_mut();
        let something_changed = !self.0.changed.borrow().is_empty();
        if polls.is_empty() && timers.is_empty() {
            return something_changed;
        }
        let at_once = (!wait || something_changed || self.0.exits.get())
            .then(|| monotonic_clock::subscribe_duration(0));
        let mut ready = self.0.ready.take();
        polls.poll([timers.pollable(), at_once.as_ref()], &mut ready);
        self.0.ready.set(ready);
        self.0.now.set(None);
        true
    }

    fn call_ready(&self) {
        let mut ready = self.0.ready.take();
        self.call(ready.drain(..));
        self.0.ready.set(ready);
    }

    fn call(&self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            // A callback before it may have closed it.
            let waiter = self.0.polls.borrow().waiter(key);
            if let Some((source, interest)) = waiter
                && !self.breaks()
            {
                source.ready(self, interest);
            }
        }
    }

    fn call_due(&self) {
        if self.0.timers.borrow().is_empty() {
            return;
        }
        let now = monotonic_clock::now();
        let last = self.0.timers.borrow().last();
        while !self.breaks() {
            let due = self.0.timers.borrow_mut().take_due(now, last);
            match due {
                None => return,
                Some(Task::Exit) => self.0.exits.set(true),
                Some(Task::Alarm(alarm)) => alarm.ring(self),
                Some(Task::Timeout(source, interest)) => {
                    if let Some(source) = source.upgrade() {
                        source.ready(self, interest);
                    }
                }
            }
        }
    }

    /// Whether the loop is to end before another callback is called.
    pub(crate) fn breaks(&self) -> bool {
        self.0.breaks.get()
    }
}

impl Core {
    /// Have `source` look at what to wait for before the loop waits.
    pub(crate) fn changed(&self, source: Weak<dyn Source>) {
        self.changed.borrow_mut().push(source);
    }

    /// The output that `wait` stands for was ready, and took nothing.
    pub(crate) fn starved(&self, wait: Key) {
        self.starved.borrow_mut().push(wait);
    }

    /// Keep `source` until [`Core::release`].
    pub(crate) fn keep(&self, source: Rc<dyn Source>) -> Key {
        self.owned.borrow_mut().add(source)
    }

    pub(crate) fn release(&self, key: Key) {
        let released = self.owned.borrow_mut().remove(key);
        // Not while the list is borrowed: it may release others.
        drop(released);
    }

    pub(crate) fn wait(
        &self,
        pollable: Pollable,
        source: Weak<dyn Source>,
        interest: Interest,
    ) -> Key {
        self.polls.borrow_mut().add(pollable, source, interest)
    }

    /// The pollable is dropped: what it is a child of can go.
    pub(crate) fn unwait(&self, key: Key) {
        drop(self.reclaim(key));
    }

    /// Wait for a pollable no more, and have it back.
    pub(crate) fn reclaim(&self, key: Key) -> Option<Pollable> {
        self.polls.borrow_mut().remove(key)
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

    pub(crate) fn remove_timeout(&self, key: TimerKey) {
        let removed = self.timers.borrow_mut().remove(key);
        drop(removed);
    }

    /// The time when the loop woke up, or a little later: good enough for timeouts.
    pub(crate) fn now(&self) -> Instant {
        let now = self.now.get().unwrap_or_else(monotonic_clock::now);
        self.now.set(Some(now));
        now
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Nothing is waited for any more. The pollables go before all that they are children of,
        // whoever owns it. Then closures, and then the connections.
        drop(std::mem::take(self.polls.get_mut()));
        let tasks = self.timers.get_mut().take_all();
        drop(tasks);
        let owned = self.owned.get_mut().take_all();
        let core = &*self;
        let remains = owned.into_iter().filter_map(|source| source.abandon(core));
        closing::close_now(remains.collect());
    }
}
