//! The state of a listener, and what it does when the loop calls it.

use crate::base::{Core, EventBase, Interest, Source};
use crate::bindings::imports::evconn::tcp::listener as wit;
use crate::callback::Callback;
use crate::permit::{Counter, Permit};
use crate::remains::Remains;
use crate::slab::Key;
use crate::{Connection, ErrorCode};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock::Instant;

/// The maximum number of events that a listener takes in one iteration of the loop.
const BATCH: usize = 64;

/// An error while accepting connections.
///
/// ```no_run
/// # use evconn_guest::{AcceptError, EventBase, Listener, Recovery};
/// # fn example(listener: Listener) {
/// listener.set_error_callback(Some(|_: &Listener, error: AcceptError| match error.recovery {
///     Recovery::Retrying(time) => eprintln!("{error}; trying again in {time:?}"),
///     Recovery::Stopped => eprintln!("{error}; it accepts no more"),
/// }));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AcceptError {
    /// The error code that `wasi:sockets/tcp#accept` has returned.
    pub code: ErrorCode,
    /// What the listener does next.
    pub recovery: Recovery,
}

impl std::fmt::Display for AcceptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::SocketError(self.code).fmt(f)
    }
}

impl std::error::Error for AcceptError {}

/// What a listener does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A resource is exhausted. Accepting resumes by itself after this time, or earlier if a connection of
    /// this listener is closed.
    Retrying(Duration),
    /// The listener has stopped for good.
    Stopped,
}

pub type OnConnection = dyn FnMut(&Rc<ListenerShared>, Connection);
pub type OnError = dyn FnMut(&Rc<ListenerShared>, AcceptError);

/// The state that the handles of a listener share.
pub struct ListenerShared {
    pub base: EventBase,
    /// None once it is closed.
    pub resource: RefCell<Option<wit::Listener>>,
    pub callback: Callback<OnConnection>,
    pub error_callback: Callback<OnError>,
    /// The keys of its pollables in the event base, which are children of its sockets.
    registered: RefCell<Vec<Key>>,
    is_scheduled: Cell<bool>,
    pub blocking: Cell<bool>,
    pub max_connections: Cell<usize>,
    pub open: Cell<usize>,
    backs_off_until: Cell<Instant>,
}

impl ListenerShared {
    pub fn new(base: &EventBase, resource: wit::Listener) -> Rc<Self> {
        Rc::new(Self {
            base: base.clone(),
            resource: RefCell::new(Some(resource)),
            callback: Callback::default(),
            error_callback: Callback::default(),
            registered: RefCell::default(),
            is_scheduled: Cell::new(false),
            blocking: Cell::new(false),
            max_connections: Cell::new(usize::MAX),
            open: Cell::new(0),
            backs_off_until: Cell::new(0),
        })
    }

    /// Calls the component. Returns `closed` if the listener is closed.
    pub fn with<T>(&self, closed: T, call: impl FnOnce(&wit::Listener) -> T) -> T {
        self.resource.borrow().as_ref().map_or(closed, call)
    }

    pub fn is_full(&self) -> bool {
        self.open.get() >= self.max_connections.get() || self.base.0.closing.is_reached()
    }

    /// Has the loop call [`prepare`](Source::prepare) before it waits.
    pub fn schedule(self: &Rc<Self>) {
        if !self.is_scheduled.replace(true) {
            let this: Weak<Self> = Rc::downgrade(self);
            self.base.0.schedule(this);
        }
    }

    /// Drops the pollables.
    pub fn unsubscribe(&self) {
        for key in self.registered.borrow_mut().drain(..) {
            self.base.0.deregister(key);
        }
    }

    fn subscribe(self: &Rc<Self>) {
        for pollable in self.with(vec![], wit::Listener::subscribe) {
            let this: Weak<Self> = Rc::downgrade(self);
            let key = self.base.0.register(pollable, this, Interest::Input);
            self.registered.borrow_mut().push(key);
        }
    }

    pub fn close(&self) {
        self.unsubscribe();
        let resource = self.resource.take();
        drop(resource);
    }

    fn permit(self: &Rc<Self>) -> Permit {
        self.open.set(self.open.get() + 1);
        let counter: Weak<Self> = Rc::downgrade(self);
        Permit::new(counter)
    }

    /// Returns whether to take another event: a callback may have changed the state.
    fn goes_on(self: &Rc<Self>) -> bool {
        // The loop's own reference may be the last one.
        Rc::strong_count(self) > 1 && !self.base.0.is_breaking() && !self.is_full()
    }

    fn deliver(self: &Rc<Self>, connection: wit::Connection) {
        let nonblocking = !self.blocking.get();
        let connection = Connection::accepted(connection, self.permit(), &self.base, nonblocking);
        if let Some(callback) = self.callback.get() {
            (callback.borrow_mut())(self, connection);
        }
    }

    fn report(self: &Rc<Self>, error: wit::ErrorEvent) {
        let recovery = match error.recovery {
            wit::Recovery::Stopped => Recovery::Stopped,
            wit::Recovery::Retrying(time) => {
                let until = self.base.0.now().saturating_add(time);
                self.backs_off_until.set(until);
                Recovery::Retrying(Duration::from_nanos(time))
            }
        };
        let error = AcceptError {
            code: error.code,
            recovery,
        };
        if let Some(callback) = self.error_callback.get() {
            (callback.borrow_mut())(self, error);
        }
    }
}

impl Counter for ListenerShared {
    fn released(self: Rc<Self>) {
        let was_full = self.is_full();
        self.open.set(self.open.get() - 1);
        let until = self.backs_off_until.get();
        let backs_off = until > 0 && until > self.base.0.now();
        if backs_off {
            // The connection may have held the descriptor that accepting needs.
            self.with((), wit::Listener::retry);
        }
        if was_full || backs_off {
            self.schedule();
        }
    }
}

impl Source for ListenerShared {
    fn ready(self: Rc<Self>, _: &Rc<Core>, _: Interest) {
        // The pollables are valid until the component is called, and are dropped before that.
        self.unsubscribe();
        self.schedule();
        for _ in 0..BATCH {
            if !self.goes_on() {
                break;
            }
            // One event at a time, so that what a callback does applies to the next connection.
            let event = self.with(None, |resource| resource.next_events(1).pop());
            match event {
                None => break,
                Some(wit::Event::Connection(event)) => self.deliver(event.connection),
                Some(wit::Event::Error(event)) => self.report(event),
            }
        }
    }

    fn prepare(self: Rc<Self>, core: &Rc<Core>) {
        self.is_scheduled.set(false);
        self.unsubscribe();
        if core.closing.is_reached() {
            let this: Weak<Self> = Rc::downgrade(&self);
            core.schedule_below_limit(this);
        }
        if !self.is_full() {
            self.subscribe();
        }
    }

    /// A base does not own its listeners: they own it.
    fn abandon(self: Rc<Self>, _: &Core) -> Option<Remains> {
        None
    }
}

impl Drop for ListenerShared {
    fn drop(&mut self) {
        self.close();
    }
}
