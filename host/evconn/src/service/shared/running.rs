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
    /// Woken when one of these changes.
    task: AtomicWaker,
    end: OnceLock<Ended>,
    ended: Notify,
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
            task: AtomicWaker::new(),
            end: OnceLock::new(),
            ended: Notify::new(),
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
        }
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

    pub fn end(&self, ended: Ended) {
        // It ends once.
        let _ = self.end.set(ended);
        self.ended.notify_waiters();
    }

    pub fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Ended {
        loop {
            let ended = self.ended.notified();
            if let Some(end) = self.end.get() {
                return end.clone();
            }
            ended.await;
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
