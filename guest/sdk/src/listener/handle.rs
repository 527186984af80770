//! The handle of a listener.

use super::shared::{AcceptError, ListenerShared, OnConnection, OnError};
use crate::base::EventBase;
use crate::bindings::imports::evconn::tcp::listener as wit;
use crate::{Connection, ErrorCode, address, error};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wasi::sockets::tcp::TcpSocket;

/// A TCP listener: libevent's `evconnlistener`.
///
/// `Listener` is a cheap handle; its clones refer to one listener. When the last one is dropped, in a callback
/// or elsewhere, the listener is closed: peers in the kernel's accept queue are reset, and connections that it
/// has delivered stay open. A closure is called with `&Listener` and should not own another handle: a
/// listener whose closure owns a handle of it lives until it is [closed](Self::close).
///
/// A callback may call any function of its listener. The effect begins with the next connection, since
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
pub struct Listener(pub(super) Rc<ListenerShared>);

/// Returns a callback of the shared state that calls `function` with a handle.
pub(super) fn on_connection(
    mut function: impl FnMut(&Listener, Connection) + 'static,
) -> Rc<RefCell<OnConnection>> {
    Rc::new(RefCell::new(
        move |shared: &Rc<ListenerShared>, connection| {
            function(&Listener(Rc::clone(shared)), connection);
        },
    ))
}

/// Returns a callback of the shared state that calls `function` with a handle.
pub(super) fn on_error(
    mut function: impl FnMut(&Listener, AcceptError) + 'static,
) -> Rc<RefCell<OnError>> {
    Rc::new(RefCell::new(move |shared: &Rc<ListenerShared>, error| {
        function(&Listener(Rc::clone(shared)), error);
    }))
}

/// The state of a listener. Where several apply, it is the first of `Closed`, `Stopped`, `Disabled`, `Paused`,
/// `Full`, `BackingOff`, `Accepting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It accepts connections.
    Accepting,
    /// [`Listener::disable`] was called, or [`Builder::disabled`](crate::Builder::disabled).
    Disabled,
    /// No callback is set.
    Paused,
    /// The maximum of [`Listener::max_connections`] is open, or the maximum of
    /// [`EventBase::set_max_closing`] is being closed.
    Full,
    /// A resource is exhausted. The listener tries again after this time.
    BackingOff(Duration),
    /// A fatal error has occurred, after which nothing can be accepted.
    Stopped(ErrorCode),
    /// [`Listener::close`] was called.
    Closed,
}

impl Listener {
    /// Enables the listener: it accepts connections if a callback is set. `evconnlistener_enable`. Idempotent.
    ///
    /// # Errors
    /// Returns an error if the listener has stopped or is closed.
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
        self.0.schedule();
        enabled.map_err(error::of_socket)
    }

    /// Disables the listener until [`enable`](Self::enable): `evconnlistener_disable`. Idempotent. Peers are
    /// not rejected: they wait in the kernel's accept queue.
    ///
    /// ```no_run
    /// # let builder = evconn_guest::Listener::builder();
    /// builder.on_connection(|listener, _the_only_one| listener.disable());
    /// ```
    pub fn disable(&self) {
        self.0.with((), wit::Listener::disable);
        self.0.schedule();
    }

    /// Sets the callback for connections that are taken from now on: `evconnlistener_set_cb`. None pauses the
    /// listener. The call neither enables nor disables the listener.
    ///
    /// When a callback calls this, the new callback is called for the next connection.
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
        self.0.callback.set(callback.map(on_connection));
        self.0.with((), |resource| resource.set_callback(number));
        self.0.schedule();
    }

    /// Pauses the listener: [`set_callback`](Self::set_callback) with None.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.pause();
    /// # }
    /// ```
    pub fn pause(&self) {
        self.set_callback(None::<fn(&Self, Connection)>);
    }

    /// Sets the callback for errors while accepting: `evconnlistener_set_error_cb`. Default: None; errors are
    /// then counted and not reported.
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
        self.0.error_callback.set(callback.map(on_error));
    }

    /// Returns the addresses that the listener is bound to, with their actual ports. A dual-stack listener has
    /// two, the IPv6 address first. libevent programs get them by `evconnlistener_get_fd`.
    ///
    /// # Errors
    /// Returns an error if the listener is closed.
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

    /// Returns the event base that the listener was made with: `evconnlistener_get_base`.
    ///
    /// ```no_run
    /// # let builder = evconn_guest::Listener::builder();
    /// builder.on_connection(|listener, _| listener.base().loop_break());
    /// ```
    pub fn base(&self) -> &EventBase {
        &self.0.base
    }

    /// Sets the maximum number of open connections of this listener. None: no limit, the default. Further peers
    /// wait in the kernel's accept queue.
    ///
    /// A connection counts until its last output is sent and its resources are dropped.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.max_connections(Some(1000));
    /// # }
    /// ```
    pub fn max_connections(&self, count: Option<usize>) {
        self.0.max_connections.set(count.unwrap_or(usize::MAX));
        self.0.schedule();
    }

    /// Returns the number of open connections of this listener.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// println!("{} peers", listener.open_connections());
    /// # }
    /// ```
    pub fn open_connections(&self) -> usize {
        self.0.open.get()
    }

    /// Sets whether connections are blocking when they are delivered: libevent's
    /// `LEV_OPT_LEAVE_SOCKETS_BLOCKING`. Default: false.
    ///
    /// ```no_run
    /// # fn f(listener: evconn_guest::Listener) {
    /// listener.set_blocking(true);
    /// # }
    /// ```
    pub fn set_blocking(&self, blocking: bool) {
        self.0.blocking.set(blocking);
    }

    /// Returns the state of the listener.
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

    /// Closes the listener, whoever else has a handle: `evconnlistener_free` with `LEV_OPT_CLOSE_ON_FREE`. Its
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

    /// Closes the listener and returns its sockets, open and listening: `evconnlistener_free` without
    /// `LEV_OPT_CLOSE_ON_FREE`. Returns no sockets if the listener is closed already.
    /// [`Builder::from_sockets`](crate::Builder::from_sockets) makes a listener of them again.
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
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        f.debug_struct("Listener").field("state", &state).finish()
    }
}
