//! An instance that runs, as others see it.

use crate::log::LogBudget;
use crate::runtime::Meter;
use crate::service::Failure;
use crate::service::console::{Console, InstanceNumber};
use crate::sockets::{Endpoint, Incoming};
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// An instance that runs.
pub(super) struct Running {
    pub number: InstanceNumber,
    pub incoming: Incoming,
    pub console: Arc<Console>,
    pub meter: Arc<Meter>,
    /// How many connections it has.
    open: AtomicUsize,
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
    pub fn new(meter: Meter, inherits_stderr: bool, log: &Arc<LogBudget>) -> Self {
        let number = InstanceNumber::next();
        Self {
            number,
            incoming: Incoming::new(),
            console: Arc::new(Console::of_instance(number, inherits_stderr, log)),
            meter: Arc::new(meter),
            open: AtomicUsize::new(0),
            is_last: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            is_started: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            task: AtomicWaker::new(),
            end: OnceLock::new(),
            progressed: Notify::new(),
        }
    }

    /// Gives it a connection to accept.
    pub fn push(&self, endpoint: &Arc<Endpoint>, port: Option<u16>) {
        match port {
            Some(port) => self.incoming.push_for(port, Arc::clone(endpoint)),
            None => self.incoming.push(Arc::clone(endpoint)),
        }
        self.wake();
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
    /// Whether the instance has ended without accepting it.
    is_left: AtomicBool,
}

impl Given {
    pub fn new(endpoint: &Arc<Endpoint>) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            is_left: AtomicBool::new(false),
        }
    }

    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Release);
    }

    pub fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Acquire)
    }
}
