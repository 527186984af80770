//! How a listener is to be made.

use super::handle::{AcceptError, Inner, Listener, OnConnection, OnError, duration};
use crate::base::EventBase;
use crate::bindings::imports::evconn::tcp::listener as wit;
use crate::{Connection, address, error};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wasi::sockets::tcp::TcpSocket;

/// How a [`Listener`] is to be made: the flags and arguments of `evconnlistener_new_bind`.
///
/// Addresses can always be used again at once (`LEV_OPT_REUSEABLE`), and sockets are closed with their
/// listener (`LEV_OPT_CLOSE_ON_FREE`).
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

impl Builder {
    /// How many connections the kernel may hold that were not accepted yet. Default: 4096. With 0,
    /// [`bind`](Self::bind) fails.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().backlog(128);
    /// ```
    pub fn backlog(mut self, size: u32) -> Self {
        self.backlog = Some(size);
        self
    }

    /// It accepts nothing before [`Listener::enable`]: `LEV_OPT_DISABLED`.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().disabled();
    /// ```
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Listen on `[::]` and `0.0.0.0`, or on `[::1]` and `127.0.0.1`, with one port:
    /// `LEV_OPT_BIND_IPV4_AND_IPV6`. The address to bind is the one of IPv6.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().dual_stack();
    /// ```
    pub fn dual_stack(mut self) -> Self {
        self.dual_stack = true;
        self
    }

    /// Fail if the address is one of IPv4: `LEV_OPT_BIND_IPV6ONLY`. A socket of IPv6 never takes
    /// peers of IPv4, with or without it.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().ipv6_only();
    /// ```
    pub fn ipv6_only(mut self) -> Self {
        self.ipv6_only = true;
        self
    }

    /// Share the port with others: `LEV_OPT_REUSEABLE_PORT`. Where the host cannot grant it, as
    /// none with wasi-sockets 0.2 can, [`bind`](Self::bind) fails.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().reuse_port();
    /// ```
    pub fn reuse_port(mut self) -> Self {
        self.reuse_port = true;
        self
    }

    /// Hand over a connection once its peer has sent something, or has ended its side:
    /// `LEV_OPT_DEFERRED_ACCEPT`. While `max_held` are held, no more are accepted; one that has been
    /// held for `timeout` is closed. With 0 of either, [`bind`](Self::bind) fails.
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

    /// Hand over connections that are blocking: see [`Listener::set_blocking`].
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().blocking();
    /// ```
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// Pause while this many connections are open: see [`Listener::max_connections`].
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().max_connections(1000);
    /// ```
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = Some(count);
        self
    }

    /// What is called for each connection. Without it, the listener is paused until
    /// [`Listener::set_callback`].
    ///
    /// # Cost
    /// One allocation for the closure, none for a call.
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().on_connection(|_, connection| drop(connection));
    /// ```
    pub fn on_connection(mut self, callback: impl FnMut(&Listener, Connection) + 'static) -> Self {
        self.callback = Some(Rc::new(RefCell::new(callback)));
        self
    }

    /// What is called when accepting fails: see [`Listener::set_error_callback`].
    ///
    /// ```no_run
    /// # use evconn_guest::Listener;
    /// let builder = Listener::builder().on_error(|listener, _| listener.close());
    /// ```
    pub fn on_error(mut self, callback: impl FnMut(&Listener, AcceptError) + 'static) -> Self {
        self.error_callback = Some(Rc::new(RefCell::new(callback)));
        self
    }

    /// Bind an address and listen on it: `evconnlistener_new_bind`. Port 0 is a free one.
    ///
    /// # Errors
    /// What `wit/SEMANTICS.md` lists for `bind`, as a [`SocketError`](crate::SocketError): the
    /// address is in use, not of this machine, or not granted; an option makes no sense.
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

    /// Listen with a socket that exists, bound or listening, or with a dual-stack pair:
    /// `evconnlistener_new`.
    ///
    /// # Errors
    /// What `wit/SEMANTICS.md` lists for `from-sockets`. The sockets are closed then.
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
            options.set_deferred_accept(max_held, duration(timeout))?;
        }
        options.set_enabled(!self.disabled);
        options.set_dual_stack(self.dual_stack);
        options.set_ipv6_only(self.ipv6_only);
        options.set_reuse_port(self.reuse_port);
        options.set_callback(self.callback.as_ref().map(|_| 0));
        // Whether or not the program wants to know, it is to be seen here that a step of a backoff
        // begins: a connection that is closed ends it.
        options.set_error_callback(Some(0));
        Ok(options)
    }

    fn finish(self, base: &EventBase, resource: wit::Listener) -> Listener {
        let inner = Inner::new(base, resource);
        inner.callback.set(self.callback);
        inner.error_callback.set(self.error_callback);
        inner.blocking.set(self.blocking);
        inner
            .max_connections
            .set(self.max_connections.unwrap_or(usize::MAX));
        inner.changed();
        Listener(inner)
    }
}
