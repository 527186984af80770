//! An instance that runs, as others see it.

use crate::log::LogBudget;
use crate::runtime::Meter;
use crate::service::Failure;
use crate::service::async_handler::{Rest, Supplied, Supply};
use crate::service::console::{Console, InstanceNumber};
use crate::sockets::{Endpoint, Incoming};
use futures_util::task::AtomicWaker;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::Notify;

/// An instance that runs.
pub(super) struct Running {
    pub number: InstanceNumber,
    /// What a program accepts.
    pub incoming: Incoming,
    /// What a handler is called for, in place of that. None: it is a program.
    calls: Option<Calls>,
    pub console: Arc<Console>,
    pub meter: Arc<Meter>,
    /// How many connections it has.
    open: AtomicUsize,
    /// Whether some were taken away from its guest, which may still have something of them.
    has_cut: AtomicBool,
    /// Whether it gets no more than these.
    is_last: AtomicBool,
    /// Whether it has ever had one.
    is_used: AtomicBool,
    /// Whether it has asked for a connection, or has one.
    is_started: AtomicBool,
    /// Whether it is to end before that.
    is_given_up: AtomicBool,
    /// Woken when one of these changes.
    task: AtomicWaker,
    end: OnceLock<Ended>,
    /// Notified when it has started, and when it has ended.
    progressed: Notify,
}

/// The connections for which a handler is to be called.
#[derive(Default)]
struct Calls {
    queue: Mutex<VecDeque<Arc<Given>>>,
    /// How many it was called for.
    taken: AtomicUsize,
    /// Whether no task of it runs.
    is_idle: AtomicBool,
    /// What was taken away from it, until it has let go of that.
    cut: Mutex<Vec<Weak<Task>>>,
}

/// Kept by all that a handler has of a connection.
#[derive(Debug)]
pub(in crate::service) struct Task(());

impl Calls {
    /// Returns how many connections were taken away from the handler, which still has something of them.
    fn cut(&self) -> usize {
        // Nothing in there panics halfway.
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        match self.is_idle.load(Ordering::Relaxed) {
            true => cut.clear(),
            false => cut.retain(|task| task.strong_count() > 0),
        }
        cut.len()
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Given>>> {
        // Nothing in there panics halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supply for Running {
    fn next(&self) -> Option<Supplied> {
        let calls = self.calls.as_ref()?;
        let given = calls.queue().pop_front()?;
        calls.taken.fetch_add(1, Ordering::Relaxed);
        Some(Given::supplied(&given))
    }

    fn set_idle(&self, is_idle: bool) {
        if let Some(calls) = &self.calls {
            calls.is_idle.store(is_idle, Ordering::Relaxed);
        }
    }
}

/// How an instance has ended.
#[derive(Clone)]
pub(super) struct Ended {
    pub failure: Option<Arc<Failure>>,
    /// Whether it has accepted a connection.
    pub has_accepted: bool,
    /// How many it had.
    pub connections: usize,
}

impl Running {
    pub fn new(
        meter: Meter,
        inherits_stderr: bool,
        log: &Arc<LogBudget>,
        is_program: bool,
    ) -> Self {
        let number = InstanceNumber::next();
        Self {
            number,
            incoming: Incoming::new(),
            calls: (!is_program).then(Calls::default),
            console: Arc::new(Console::of_instance(number, inherits_stderr, log)),
            meter: Arc::new(meter),
            open: AtomicUsize::new(0),
            has_cut: AtomicBool::new(false),
            is_last: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            is_started: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            task: AtomicWaker::new(),
            end: OnceLock::new(),
            progressed: Notify::new(),
        }
    }

    /// Gives it a connection to accept, or to handle.
    pub fn push(&self, given: &Arc<Given>, port: Option<u16>) {
        let endpoint = || Arc::clone(&given.endpoint);
        match (&self.calls, port) {
            (Some(calls), _) => calls.queue().push_back(Arc::clone(given)),
            (None, Some(port)) => self.incoming.push_for(port, endpoint()),
            (None, None) => self.incoming.push(endpoint()),
        }
        self.wake();
    }

    /// Takes a connection back, unless the guest has it. Returns whether that was so.
    pub fn remove(&self, given: &Arc<Given>) -> bool {
        let Some(calls) = &self.calls else {
            return self.incoming.remove(&given.endpoint);
        };
        let mut queue = calls.queue();
        let length = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, given));
        queue.len() < length
    }

    /// Takes back what the guest does not have.
    pub fn take(&self) -> Vec<Arc<Endpoint>> {
        let Some(calls) = &self.calls else {
            return self.incoming.take();
        };
        let queue = std::mem::take(&mut *calls.queue());
        queue
            .iter()
            .map(|given| Arc::clone(&given.endpoint))
            .collect()
    }

    /// Returns how many connections the guest has accepted, or was called for.
    pub fn accepted(&self) -> usize {
        match &self.calls {
            Some(calls) => calls.taken.load(Ordering::Relaxed),
            None => self.incoming.accepted(),
        }
    }

    /// Returns whether the guest has ever waited for a connection.
    pub fn was_asked(&self) -> bool {
        self.calls.is_some() || self.incoming.was_asked()
    }

    /// Returns whether the guest waits for a connection and for nothing else, and when there is none, up to which time.
    pub fn is_awaited(&self) -> bool {
        match &self.calls {
            Some(calls) => calls.is_idle.load(Ordering::Relaxed) && calls.queue().is_empty(),
            None => self.incoming.is_awaited(),
        }
    }

    /// Returns whether a guest that waits does so up to a time, when it runs again by itself.
    pub fn has_timeout(&self) -> bool {
        self.calls.is_none() && self.incoming.has_timeout()
    }

    /// Notes that a connection was taken away from its guest.
    pub fn cut(&self, given: &Given) {
        if let (Some(calls), Some(task)) = (&self.calls, given.task.get()) {
            let mut cut = calls.cut.lock().unwrap_or_else(PoisonError::into_inner);
            cut.push(task.clone());
        }
        self.has_cut.store(true, Ordering::Release);
    }

    pub fn has_cut(&self) -> bool {
        self.has_cut.load(Ordering::Acquire)
    }

    /// Returns how many connections were taken away from its guest, which still has something of them. It has these
    /// besides.
    pub fn still_cut<'a>(&self, connections: impl Iterator<Item = &'a Arc<Given>>) -> usize {
        let count = match &self.calls {
            Some(calls) => calls.cut(),
            None => {
                let has = connections.filter(|given| given.is_guests()).count();
                self.incoming.open().saturating_sub(has)
            }
        };
        self.has_cut.store(count > 0, Ordering::Release);
        count
    }

    /// Sets how many connections it has, and whether it gets no more.
    pub fn update(&self, open: usize, is_last: bool) {
        self.open.store(open, Ordering::Release);
        self.is_last.store(is_last, Ordering::Release);
        if open > 0 {
            self.is_used.store(true, Ordering::Relaxed);
            self.start();
        }
    }

    /// Notes that it waits for connections, or has one. Returns whether that is new.
    pub fn start(&self) -> bool {
        let is_new = !self.is_started.swap(true, Ordering::AcqRel);
        if is_new {
            self.progressed.notify_waiters();
        }
        is_new
    }

    pub fn is_started(&self) -> bool {
        self.is_started.load(Ordering::Acquire)
    }

    /// Waits until it has started.
    pub async fn started(&self) {
        loop {
            let progressed = self.progressed.notified();
            if self.is_started() {
                return;
            }
            progressed.await;
        }
    }

    /// Ends it, although it has not started.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.wake();
    }

    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    /// Has it end when its connections have.
    pub fn retire(&self) {
        self.is_last.store(true, Ordering::Release);
        self.wake();
    }

    /// Has its task look at what it is for.
    pub fn wake(&self) {
        self.task.wake();
    }

    pub fn task(&self) -> &AtomicWaker {
        &self.task
    }

    pub fn has_connections(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    pub fn is_last(&self) -> bool {
        self.is_last.load(Ordering::Acquire)
    }

    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Fails unless it has had a connection.
    pub fn check_needed(&self) -> Result<(), Failure> {
        match self.is_used() {
            true => Ok(()),
            false => Err(Failure::NoRoom),
        }
    }

    pub fn end(&self, ended: Ended) {
        // It ends once.
        let _ = self.end.set(ended);
        self.progressed.notify_waiters();
    }

    pub fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Ended {
        loop {
            let progressed = self.progressed.notified();
            if let Some(end) = self.end.get() {
                return end.clone();
            }
            progressed.await;
        }
    }
}

/// A connection that an instance was given.
pub(super) struct Given {
    pub endpoint: Arc<Endpoint>,
    /// Its number in the log.
    number: u64,
    /// What its handler has of it, once that was called.
    task: OnceLock<Weak<Task>>,
    /// Whether the instance has ended without accepting it.
    is_left: AtomicBool,
    /// How a handler has ended it.
    outcome: OnceLock<Result<(), String>>,
    /// What is left of it, if the host does that alone.
    rest: Mutex<Option<Rest>>,
    /// Whether it was taken away from its handler.
    is_cut: AtomicBool,
    /// Notified when one of these is so.
    changed: Notify,
}

impl Given {
    pub fn new(endpoint: &Arc<Endpoint>, number: u64) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            number,
            task: OnceLock::new(),
            is_left: AtomicBool::new(false),
            outcome: OnceLock::new(),
            rest: Mutex::default(),
            is_cut: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Returns it as a handler gets it, which says how it has ended.
    pub fn supplied(given: &Arc<Self>) -> Supplied {
        let (of_end, of_cut) = (Arc::clone(given), Arc::clone(given));
        let task = Arc::new(Task(()));
        // It is supplied once.
        let _ = given.task.set(Arc::downgrade(&task));
        Supplied {
            task,
            endpoint: Arc::clone(&given.endpoint),
            number: given.number,
            end: Box::new(move |outcome| {
                let outcome = outcome.map(|rest| *of_end.rest() = rest);
                // It ends once.
                let _ = of_end.outcome.set(outcome);
                of_end.changed.notify_waiters();
            }),
            cut: Box::pin(async move {
                of_cut
                    .until(|given| given.is_cut.load(Ordering::Acquire))
                    .await;
            }),
        }
    }

    /// Returns whether a program has accepted it, and not dropped it.
    fn is_guests(&self) -> bool {
        self.endpoint.was_accepted_by_guest() && !self.endpoint.was_closed_by_guest()
    }

    /// Takes what is left of it, if its handler has ended it and the host does that alone.
    pub fn take_rest(&self) -> Option<Rest> {
        self.rest().take()
    }

    fn rest(&self) -> MutexGuard<'_, Option<Rest>> {
        // Nothing in there panics halfway.
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it away from its handler.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Returns how a handler has ended it, if it has.
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        let outcome = self.outcome.get()?.clone();
        Some(outcome.map_err(Failure::Handler))
    }

    /// Waits until a handler has ended it.
    pub async fn ended(&self) {
        self.until(|given| given.outcome.get().is_some()).await;
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let changed = self.changed.notified();
            // It may have changed in between.
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Release);
    }

    pub fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Acquire)
    }
}
