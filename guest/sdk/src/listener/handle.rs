use super::Builder;
use crate::base::EventBase;
use crate::base::closing::Remains;
use crate::base::source::{Interest, Source};
use crate::base::{Core, nanoseconds};
use crate::bindings::imports::evconn::tcp::listener as wit;
use crate::callback::Callback;
use crate::permit::{Counter, Permit};
use crate::slab::Key;
use crate::{Connection, ErrorCode, address, error};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock::Instant;
use wasi::sockets::tcp::TcpSocket;

/// How many connections a listener takes in one turn of the loop, before others have theirs.
const BATCH: usize = 64;

pub(super) type OnConnection = dyn FnMut(&Listener, Connection);
pub(super) type OnError = dyn FnMut(&Listener, AcceptError);

/// A TCP listener: libevent's `evconnlistener`.
///
/// It is a cheap handle; its clones are one listener. When the last one is dropped, in a callback or
/// elsewhere, the listener is closed: peers that wait are reset, and connections that it has
/// delivered live on. A closure that is given `&Listener` need not own another handle of it, and
/// should not: such a listener lives until it is [closed](Self::close).
///
/// A callback may do anything to its listener. What it does holds from the next peer on, since
/// connections are taken one at a time.
///
/// ```no_run
/// use evconn_guest::{EventBase, Listener};
///
/// let base = EventBase::new();
/// let listener = Listener::builder()
///     .on_connection(|_, connection| println!("{}", connection.peer_addr()))
///     .bind(&base, ([127, 0, 0, 1], 9876))?;
/// println!("listening on {}", listener.local_addresses()?[0]);
/// base.dispatch();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Listener(pub(super) Rc<Inner>);

/// Accepting has failed.
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
    /// What `wasi:sockets/tcp#accept` has returned.
    pub code: ErrorCode,
    /// What happens next.
    pub recovery: Recovery,
}

impl std::fmt::Display for AcceptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::SocketError(self.code).fmt(f)
    }
}

impl std::error::Error for AcceptError {}

/// What a listener does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A resource ran out. Accepting goes on by itself after this time, or once a connection of
    /// this listener is closed.
    Retrying(Duration),
    /// It accepts no more.
    Stopped,
}

/// What a listener is doing. Where several apply, it is the first of `Closed`, `Stopped`,
/// `Disabled`, `Paused`, `Full`, `BackingOff`, `Accepting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It accepts.
    Accepting,
    /// [`Listener::disable`] was called, or [`Builder::disabled`].
    Disabled,
    /// No callback is set.
    Paused,
    /// As many connections are open as [`Listener::max_connections`] allows, or as many are being
    /// closed as [`EventBase::set_max_closing`] does.
    Full,
    /// A resource ran out: accepting is tried again in this time.
    BackingOff(Duration),
    /// A fatal error, after which nothing can be accepted.
    Stopped(ErrorCode),
    /// [`Listener::close`] was called.
    Closed,
}

/// What the handles share.
pub struct Inner {
    pub(super) base: EventBase,
    /// None once it is closed.
    pub(super) resource: RefCell<Option<wit::Listener>>,
    pub(super) callback: Callback<OnConnection>,
    pub(super) error_callback: Callback<OnError>,
    /// What it has in the base's list. Children of its sockets.
    pub(super) waits: RefCell<Vec<Key>>,
    pub(super) is_changed: Cell<bool>,
    pub(super) blocking: Cell<bool>,
    pub(super) max_connections: Cell<usize>,
    pub(super) open: Cell<usize>,
    pub(super) backs_off_until: Cell<Instant>,
}

impl Listener {
    /// To say how a listener is to be made: `evconnlistener_new_bind`.
    ///
    /// ```no_run
    /// let builder = evconn_guest::Listener::builder().backlog(128);
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Accept from now on, if a callback is set: `evconnlistener_enable`. Idempotent.
    ///
    /// # Errors
    /// If the listener has stopped or is closed.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) -> std::io::Result<()> {
    /// listener.disable();
    /// listener.enable()
    /// # }
    /// ```
    pub fn enable(&self) -> io::Result<()> {
        let closed = Err(ErrorCode::InvalidState);
        let enabled = self.0.with(closed, wit::Listener::enable);
        self.0.changed();
        enabled.map_err(error::of_socket)
    }

    /// Accept no more until [`enable`](Self::enable): `evconnlistener_disable`. Idempotent. Peers
    /// are not refused: they wait in the kernel's queue.
    ///
    /// ```no_run
    /// # let builder = evconn_guest::Listener::builder();
    /// builder.on_connection(|listener, _the_only_one| listener.disable());
    /// ```
    pub fn disable(&self) {
        self.0.with((), wit::Listener::disable);
        self.0.changed();
    }

    /// Call this function for each connection from now on: `evconnlistener_set_cb`. With
    /// None the listener pauses. It neither enables nor disables.
    ///
    /// In a callback, the new one gets the next connection.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Listener};
    /// # let builder = Listener::builder();
    /// builder.on_connection(|listener, _first| {
    ///     listener.set_callback(Some(|_: &Listener, _other: Connection| {}));
    /// });
    /// ```
    pub fn set_callback<F>(&self, callback: Option<F>)
    where
        F: FnMut(&Self, Connection) + 'static,
    {
        let number = callback.is_some().then_some(0);
        self.0.callback.set(callback.map(|callback| {
            let callback: Rc<RefCell<OnConnection>> = Rc::new(RefCell::new(callback));
            callback
        }));
        self.0.with((), |resource| resource.set_callback(number));
        self.0.changed();
    }

    /// Pause: [`set_callback`](Self::set_callback) with None.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.pause();
    /// # }
    /// ```
    pub fn pause(&self) {
        self.set_callback(None::<fn(&Self, Connection)>);
    }

    /// Call this function when accepting fails: `evconnlistener_set_error_cb`. Default: none, and
    /// errors are counted and not reported.
    ///
    /// ```no_run
    /// # use evconn_guest::{AcceptError, Listener};
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.set_error_callback(Some(|listener: &Listener, error: AcceptError| {
    ///     eprintln!("{error}");
    ///     listener.base().loop_break();
    /// }));
    /// # }
    /// ```
    pub fn set_error_callback<F>(&self, callback: Option<F>)
    where
        F: FnMut(&Self, AcceptError) + 'static,
    {
        self.0.error_callback.set(callback.map(|callback| {
            let callback: Rc<RefCell<OnError>> = Rc::new(RefCell::new(callback));
            callback
        }));
    }

    /// The addresses that it is bound to, with their actual ports; of a dual-stack pair that of IPv6
    /// first: what `evconnlistener_get_fd` is asked for mostly.
    ///
    /// # Errors
    /// If the listener is closed.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) -> std::io::Result<()> {
    /// let port = listener.local_addresses()?[0].port();
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let closed = Err(ErrorCode::InvalidState);
        let addresses = self.0.with(closed, wit::Listener::local_addresses);
        let addresses = addresses.map_err(error::of_socket)?;
        Ok(addresses.into_iter().map(address::from_wasi).collect())
    }

    /// The base that it was made with: `evconnlistener_get_base`.
    ///
    /// ```no_run
    /// # let builder = evconn_guest::Listener::builder();
    /// builder.on_connection(|listener, _| listener.base().loop_break());
    /// ```
    pub fn base(&self) -> &EventBase {
        &self.0.base
    }

    /// Accept no more while this many of its connections are open. None: no limit, the default.
    /// Further peers wait in the kernel's queue.
    ///
    /// A connection counts until it is closed for good, and so also while the last of its output
    /// is being sent.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.max_connections(Some(1000));
    /// # }
    /// ```
    pub fn max_connections(&self, count: Option<usize>) {
        self.0.max_connections.set(count.unwrap_or(usize::MAX));
        self.0.changed();
    }

    /// How many of its connections are open.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// println!("{} peers", listener.open_connections());
    /// # }
    /// ```
    pub fn open_connections(&self) -> usize {
        self.0.open.get()
    }

    /// Whether connections are blocking when they are handed over: libevent's
    /// `LEV_OPT_LEAVE_SOCKETS_BLOCKING`. Default: no.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.set_blocking(true);
    /// # }
    /// ```
    pub fn set_blocking(&self, blocking: bool) {
        self.0.blocking.set(blocking);
    }

    /// What it is doing now.
    ///
    /// ```no_run
    /// # use evconn_guest::State;
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.disable();
    /// assert_eq!(listener.state(), State::Disabled);
    /// # }
    /// ```
    pub fn state(&self) -> State {
        let resource = self.0.resource.borrow();
        let Some(resource) = &*resource else {
            return State::Closed;
        };
        match resource.state() {
            wit::State::Stopped(code) => State::Stopped(code),
            wit::State::Disabled => State::Disabled,
            wit::State::Paused => State::Paused,
            _ if self.0.is_full() => State::Full,
            wit::State::BackingOff(left) => State::BackingOff(Duration::from_nanos(left)),
            wit::State::Accepting => State::Accepting,
        }
    }

    /// Close it, whoever else has a handle: `evconnlistener_free` with `LEV_OPT_CLOSE_ON_FREE`. Its
    /// closures are dropped. Idempotent.
    ///
    /// ```no_run
    /// # let builder = evconn_guest::Listener::builder();
    /// builder.on_connection(|listener, _the_only_one| listener.close());
    /// ```
    pub fn close(&self) {
        self.0.close();
        self.0.callback.set(None);
        self.0.error_callback.set(None);
    }

    /// Close it, but hand back its sockets, open and listening: `evconnlistener_free` without
    /// `LEV_OPT_CLOSE_ON_FREE`. There are none if it is closed. [`Builder::from_sockets`] makes a
    /// listener of them again.
    ///
    /// ```no_run
    /// # use evconn_guest::{EventBase, Listener};
    /// # fn f(listener: Listener, base: EventBase) -> std::io::Result<()> {
    /// let again = Listener::builder().from_sockets(&base, listener.into_sockets())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_sockets(&self) -> Vec<TcpSocket> {
        self.0.unsubscribe();
        let resource = self.0.resource.take();
        self.close();
        resource.map_or(vec![], wit::Listener::into_sockets)
    }

    fn deliver(&self, connection: wit::Connection) {
        let connection = Connection::accepted(
            connection,
            self.0.permit(),
            &self.0.base,
            !self.0.blocking.get(),
        );
        if let Some(callback) = self.0.callback.get() {
            (callback.borrow_mut())(self, connection);
        }
    }

    fn report(&self, error: wit::ErrorEvent) {
        let recovery = match error.recovery {
            wit::Recovery::Stopped => Recovery::Stopped,
            wit::Recovery::Retrying(time) => {
                let until = self.0.base.0.now().saturating_add(time);
                self.0.backs_off_until.set(until);
                Recovery::Retrying(Duration::from_nanos(time))
            }
        };
        let error = AcceptError {
            code: error.code,
            recovery,
        };
        if let Some(callback) = self.0.error_callback.get() {
            (callback.borrow_mut())(self, error);
        }
    }

    /// Whether it is to take another peer, after what a callback may have done.
    fn goes_on(&self) -> bool {
        // This handle may be the last one.
        Rc::strong_count(&self.0) > 1 && !self.0.base.breaks() && !self.0.is_full()
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("Listener").field("state", &state).finish()
    }
}

impl Inner {
    pub(super) fn new(base: &EventBase, resource: wit::Listener) -> Rc<Self> {
        Rc::new(Self {
            base: base.clone(),
            resource: RefCell::new(Some(resource)),
            callback: Callback::default(),
            error_callback: Callback::default(),
            waits: RefCell::default(),
            is_changed: Cell::new(false),
            blocking: Cell::new(false),
            max_connections: Cell::new(usize::MAX),
            open: Cell::new(0),
            backs_off_until: Cell::new(0),
        })
    }

    /// Call the component, unless the listener is closed.
    fn with<T>(&self, closed: T, call: impl FnOnce(&wit::Listener) -> T) -> T {
        self.resource.borrow().as_ref().map_or(closed, call)
    }

    fn permit(self: &Rc<Self>) -> Permit {
        self.open.set(self.open.get() + 1);
        let counter: Weak<Self> = Rc::downgrade(self);
        Permit::new(counter)
    }

    fn is_full(&self) -> bool {
        self.open.get() >= self.max_connections.get() || self.base.0.reaper.is_full()
    }

    /// Look at what to wait for before the loop waits.
    pub(super) fn changed(self: &Rc<Self>) {
        if !self.is_changed.replace(true) {
            let this: Weak<Self> = Rc::downgrade(self);
            self.base.0.changed(this);
        }
    }

    fn unsubscribe(&self) {
        for wait in self.waits.borrow_mut().drain(..) {
            self.base.0.unwait(wait);
        }
    }

    fn subscribe(self: &Rc<Self>) {
        for pollable in self.with(vec![], wit::Listener::subscribe) {
            let this: Weak<Self> = Rc::downgrade(self);
            let wait = self.base.0.wait(pollable, this, Interest::Input);
            self.waits.borrow_mut().push(wait);
        }
    }

    fn close(&self) {
        // They are children of the sockets.
        self.unsubscribe();
        let resource = self.resource.take();
        drop(resource);
    }
}

impl Counter for Inner {
    /// A connection of this listener is closed.
    fn released(self: Rc<Self>) {
        let was_full = self.is_full();
        self.open.set(self.open.get() - 1);
        let until = self.backs_off_until.get();
        let backs_off = until > 0 && until > self.base.0.now();
        if backs_off {
            // It may have been what holds the descriptor.
            self.with((), wit::Listener::retry);
        }
        if was_full || backs_off {
            self.changed();
        }
    }
}

impl Source for Inner {
    fn ready(self: Rc<Self>, _: &EventBase, _: Interest) {
        // The list is right until the listener is called, and its pollables go before that.
        self.unsubscribe();
        self.changed();
        let listener = Listener(self);
        for _ in 0..BATCH {
            if !listener.goes_on() {
                break;
            }
            // One at a time: what a callback does holds for the next peer.
            let event = listener
                .0
                .with(None, |resource| resource.next_events(1).pop());
            match event {
                None => break,
                Some(wit::Event::Connection(event)) => listener.deliver(event.connection),
                Some(wit::Event::Error(event)) => listener.report(event),
            }
        }
    }

    fn settle(self: Rc<Self>, base: &EventBase) {
        self.is_changed.set(false);
        self.unsubscribe();
        if base.0.reaper.is_full() {
            let this: Weak<Self> = Rc::downgrade(&self);
            base.0.reaper.wait_for_room(this);
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

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// As the interface has it.
pub(super) fn duration(time: Duration) -> u64 {
    nanoseconds(time)
}
