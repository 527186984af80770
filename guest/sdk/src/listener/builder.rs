//! The builder of a listener.

use super::handle::{self, Listener};
use super::shared::{AcceptError, ListenerShared, OnConnection, OnError};
use crate::base::{EventBase, nanoseconds};
use crate::bindings::imports::evconn::tcp::listener as wit;
use crate::{Connection, address, error};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wasi::sockets::tcp::TcpSocket;

/// Builds a [`Listener`]: the flags and arguments of `evconnlistener_new_bind`.
///
/// An address can always be reused at once (`LEV_OPT_REUSEABLE`), and sockets are closed with their listener
/// (`LEV_OPT_CLOSE_ON_FREE`).
///
/// ```no_run
/// use evconn_guest::{EventBase, Listener};
///
/// let base = EventBase::new();
/// let listener = Listener::builder()
///     .backlog(128)
///     .max_connections(1000)
///     .on_connection(|_, connection| println!("{}", connection.peer_addr()))
///     .on_error(|_, error| eprintln!("{error}"))
///     .bind(&base, ([0, 0, 0, 0], 9876))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
#[must_use = "it makes no listener before `bind` or `from_sockets`"]
pub struct Builder {
    backlog: Option<u32>,
    disabled: bool,
    dual_stack: bool,
    ipv6_only: bool,
    reuse_port: bool,
    blocking: bool,
    deferred: Option<(u32, Duration)>,
    max_connections: Option<usize>,
    callback: Option<Rc<RefCell<OnConnection>>>,
    error_callback: Option<Rc<RefCell<OnError>>>,
}

impl Listener {
    /// Returns a builder with the default options: `evconnlistener_new_bind`.
    ///
    /// ```no_run
    /// let builder = evconn_guest::Listener::builder().backlog(128);
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Sets the size of the kernel's accept queue. Default: 4096. With 0, [`bind`](Self::bind) fails.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().backlog(128);
    /// ```
    pub fn backlog(mut self, size: u32) -> Self {
        self.backlog = Some(size);
        self
    }

    /// Makes a disabled listener, which accepts nothing before [`Listener::enable`]: `LEV_OPT_DISABLED`.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().disabled();
    /// ```
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Listens on `[::]` and `0.0.0.0`, or on `[::1]` and `127.0.0.1`, on one port:
    /// `LEV_OPT_BIND_IPV4_AND_IPV6`. [`bind`](Self::bind) takes the IPv6 address.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().dual_stack();
    /// ```
    pub fn dual_stack(mut self) -> Self {
        self.dual_stack = true;
        self
    }

    /// Makes [`bind`](Self::bind) fail for an IPv4 address: `LEV_OPT_BIND_IPV6ONLY`. An IPv6 socket never accepts
    /// IPv4 peers, with or without this option.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().ipv6_only();
    /// ```
    pub fn ipv6_only(mut self) -> Self {
        self.ipv6_only = true;
        self
    }

    /// Shares the port with other listeners: `LEV_OPT_REUSEABLE_PORT`. wasi-sockets 0.2 does not support it, so
    /// [`bind`](Self::bind) fails.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().reuse_port();
    /// ```
    pub fn reuse_port(mut self) -> Self {
        self.reuse_port = true;
        self
    }

    /// Delivers a connection once its peer has sent bytes or has ended its sending direction:
    /// `LEV_OPT_DEFERRED_ACCEPT`. Until then the connection is held. While `max_held` connections are held,
    /// no further one is accepted; a connection that was held for `timeout` is closed. If either is 0,
    /// [`bind`](Self::bind) fails.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// # use std::time::Duration;
    /// let builder = Listener::builder().deferred_accept(100, Duration::from_secs(5));
    /// ```
    pub fn deferred_accept(mut self, max_held: u32, timeout: Duration) -> Self {
        self.deferred = Some((max_held, timeout));
        self
    }

    /// Delivers connections that are blocking: see [`Listener::set_blocking`].
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().blocking();
    /// ```
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// Sets the maximum number of open connections: see [`Listener::max_connections`].
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().max_connections(1000);
    /// ```
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = Some(count);
        self
    }

    /// Sets the callback for connections. Without one, the listener is paused until
    /// [`Listener::set_callback`].
    ///
    /// # Cost
    /// One allocation for the closure. Calls do not allocate.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().on_connection(|_, connection| drop(connection));
    /// ```
    pub fn on_connection(mut self, callback: impl FnMut(&Listener, Connection) + 'static) -> Self {
        self.callback = Some(handle::on_connection(callback));
        self
    }

    /// Sets the callback for errors while accepting: see [`Listener::set_error_callback`].
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().on_error(|listener, _| listener.close());
    /// ```
    pub fn on_error(mut self, callback: impl FnMut(&Listener, AcceptError) + 'static) -> Self {
        self.error_callback = Some(handle::on_error(callback));
        self
    }

    /// Binds an address and listens on it: `evconnlistener_new_bind`. With port 0, the kernel chooses a free port.
    ///
    /// # Errors
    /// Returns the errors that `wit/SEMANTICS.md` lists for `bind`, each as a
    /// [`SocketError`](crate::SocketError): the address is in use, is not one of this machine's, or is not
    /// granted, or an option is invalid.
    ///
    /// ```no_run
    /// # use evconn_guest::{EventBase, Listener};
    /// let base = EventBase::new();
    /// let listener = Listener::builder().bind(&base, ([127, 0, 0, 1], 0))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind(self, base: &EventBase, address: impl Into<SocketAddr>) -> io::Result<Listener> {
        let options = self.options().map_err(error::of_socket)?;
        let address = address::to_wasi(address.into());
        let resource = wit::Listener::bind(address, Some(&options)).map_err(error::of_socket)?;
        Ok(self.finish(base, resource))
    }

    /// Makes a listener of an existing socket, bound or listening, or of a dual-stack pair:
    /// `evconnlistener_new`.
    ///
    /// # Errors
    /// Returns the errors that `wit/SEMANTICS.md` lists for `from-sockets`. The sockets are closed then.
    ///
    /// ```no_run
    /// # use evconn_guest::{EventBase, Listener};
    /// # fn f(base: EventBase, socket: wasi::sockets::tcp::TcpSocket) -> std::io::Result<()> {
    /// let listener = Listener::builder().from_sockets(&base, vec![socket])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_sockets(self, base: &EventBase, sockets: Vec<TcpSocket>) -> io::Result<Listener> {
        let options = self.options().map_err(error::of_socket)?;
        let made = wit::Listener::from_sockets(sockets, Some(&options));
        let resource = made.map_err(error::of_socket)?;
        Ok(self.finish(base, resource))
    }

    fn options(&self) -> Result<wit::Options, crate::ErrorCode> {
        let options = wit::Options::new();
        if let Some(backlog) = self.backlog {
            options.set_backlog(backlog)?;
        }
        if let Some((max_held, timeout)) = self.deferred {
            options.set_deferred_accept(max_held, nanoseconds(timeout))?;
        }
        options.set_enabled(!self.disabled);
        options.set_dual_stack(self.dual_stack);
        options.set_ipv6_only(self.ipv6_only);
        options.set_reuse_port(self.reuse_port);
        options.set_callback(self.callback.as_ref().map(|_| 0));
        // Set whether or not the program has an error callback: the error event says that a backoff step
        // begins, which ends early when a connection is closed.
        options.set_error_callback(Some(0));
        Ok(options)
    }

    fn finish(self, base: &EventBase, resource: wit::Listener) -> Listener {
        let shared = ListenerShared::new(base, resource);
        shared.callback.set(self.callback);
        shared.error_callback.set(self.error_callback);
        shared.blocking.set(self.blocking);
        shared
            .max_connections
            .set(self.max_connections.unwrap_or(usize::MAX));
        shared.schedule();
        Listener(shared)
    }
}
