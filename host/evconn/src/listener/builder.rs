//! Configures and creates listeners.

use super::acceptor::{self, Acceptor, AcceptorPre, BindOptions, DeferredAccept, Pace};
use super::callback::OneAtATime;
use super::{
    AcceptError, AcceptRate, ConnectionCallback, Control, Handle, Listener, Owner, Status,
};
use super::{addresses, rules};
use crate::log::with_log;
use crate::sockets::{Policy, TcpOptions};
use crate::{Connection, Error, ErrorCode, Host, ListenSource, Opened, address};
use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Configures a [`Listener`], or several: it can be cloned. Clones share a closure, which is called for
/// one connection of all their listeners at a time, and what a policy or a rate counts.
#[derive(Clone)]
pub struct ListenerBuilder {
    host: Host,
    backlog: Option<u32>,
    dual_stack: bool,
    ipv6_only: bool,
    deferred: Option<DeferredAccept>,
    tcp: TcpOptions,
    policy: Policy,
    pace: Pace,
    control: Control,
}

impl ListenerBuilder {
    pub(super) fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            backlog: None,
            dual_stack: false,
            ipv6_only: false,
            deferred: None,
            tcp: TcpOptions::default(),
            policy: Policy::allow_all(),
            pace: Pace::default(),
            control: Control {
                enabled: true,
                ..Control::default()
            },
        }
    }

    /// Sets the length of the accept queue. Defaults to 4096; the kernel may lower it. With 0,
    /// [`bind`](Self::bind) fails with [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument).
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// Sets how many connections are accepted in one iteration, before other tasks run. Defaults to 64.
    /// For a closure, which is called for one connection at a time, it is always 1.
    pub fn max_accepts_per_turn(mut self, count: NonZeroU32) -> Self {
        self.pace.per_turn = count;
        self
    }

    /// Limits how many connections are accepted per second by all listeners that share this rate. Further
    /// connections wait in the accept queue. Defaults to no limit.
    pub fn accept_rate(mut self, rate: AcceptRate) -> Self {
        self.pace.rate = Some(rate);
        self
    }

    /// Listens on an IPv6 and an IPv4 socket that share one port: on `[::]` and `0.0.0.0`, or on `[::1]`
    /// and `127.0.0.1`. With any other address, [`bind`](Self::bind) fails with
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument). Defaults to false.
    pub fn dual_stack(mut self, value: bool) -> Self {
        self.dual_stack = value;
        self
    }

    /// Delivers a connection only when its peer has sent something or has ended its side. Until then it
    /// is held: up to `max_held` connections, each for up to `timeout`, after which it is closed. If
    /// either is 0, [`bind`](Self::bind) fails with
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument). Off by default.
    ///
    /// The cost of each poll for connections grows with the number of those held.
    pub fn deferred_accept(mut self, max_held: u32, timeout: Duration) -> Self {
        self.deferred = Some(DeferredAccept { max_held, timeout });
        self
    }

    /// Accepts IPv6 peers only: binding an IPv4 address then fails. Defaults to false; an IPv6 address
    /// accepts only IPv6 peers even so. This setting has no effect with [`dual_stack`](Self::dual_stack).
    pub fn ipv6_only(mut self, value: bool) -> Self {
        self.ipv6_only = value;
        self
    }

    /// Sets the socket options of the listening sockets, and with them those of the connections. Defaults
    /// to [`TcpOptions::default`].
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Sets which of its addresses the listener may use, and which peers it accepts: a peer that `policy`
    /// does not allow is reset without notice. Defaults to [`Policy::allow_all`]. Addresses other than
    /// the listener's cannot be used in any case.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets whether the listener starts enabled. Defaults to true.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.control.enabled = enabled;
        self
    }

    /// Sets the initial callback: see [`Listener::set_callback`].
    pub fn on_connection(
        mut self,
        callback: impl FnMut(&Listener, Connection) + Send + 'static,
    ) -> Self {
        self.control.on_connection = Some(ConnectionCallback::closure(callback));
        self
    }

    /// Sets the initial callback: see [`Listener::set_async_callback`].
    pub fn on_connection_async<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Listener, Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.control.on_connection = Some(ConnectionCallback::task(callback));
        self
    }

    /// Sets the initial error callback: see [`Listener::set_error_callback`].
    pub fn on_error(
        mut self,
        callback: impl FnMut(&Listener, AcceptError) + Send + 'static,
    ) -> Self {
        self.control.on_error = Some(OneAtATime::new(callback));
        self
    }

    /// Listens on `address`: see [`Listener::bind`].
    ///
    /// # Errors
    /// As [`Listener::bind`]. Nothing is left open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn bind(self, address: SocketAddr) -> Result<Listener, Error> {
        let options = self.options();
        let acceptor = Acceptor::bind(&AcceptorPre::new(&self.host)?, address, options)?;
        self.start(acceptor, None)
    }

    /// Listens on each socket of `source`: usually one, but a host name may have several addresses, and
    /// systemd may pass several sockets.
    ///
    /// The backlog applies to sockets that are created here, including Unix sockets. The source decides
    /// about IPv4 instead of [`dual_stack`]. A Unix socket's file is removed when its listener is closed.
    /// Addresses of a host name whose family the machine does not support are left out, which is logged.
    ///
    /// This may block as [`ListenSource::open`] does, except for looking up a host name, which is
    /// asynchronous.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use evconn::{Host, Listener};
    ///
    /// let host = Host::new()?;
    /// let builder = Listener::builder(&host).backlog(16);
    /// let listeners = builder.listen_on(&"localhost:0".parse()?).await?;
    /// let port = listeners[0].local_addr().port();
    /// assert!(listeners.iter().all(|listener| listener.local_addr().port() == port));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Source`] if the source cannot be opened; [`Error::Address`] with the address of a host
    /// name that cannot be bound; otherwise as [`Listener::bind`]. Nothing is left open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    ///
    /// [`dual_stack`]: Self::dual_stack
    pub async fn listen_on(&self, source: &ListenSource) -> Result<Vec<Listener>, Error> {
        if let ListenSource::Name { host, port } = source {
            let addresses = address::look_up(host, *port).await?;
            let builder = self.clone().dual_stack(false);
            return addresses::bind_all(&builder, &addresses).await;
        }
        let backlog = match self.backlog {
            None => address::BACKLOG,
            Some(backlog) => NonZeroU32::new(backlog).ok_or(ErrorCode::InvalidArgument)?,
        };
        let mut listeners = Vec::new();
        for opened in source.open_with_backlog(backlog)? {
            listeners.push(self.clone().listen(opened).await?);
        }
        Ok(listeners)
    }

    /// Listens on an opened [`ListenSource`], or on a listening socket of your own.
    ///
    /// The backlog and [`dual_stack`] have no effect on a socket that listens already. If it is an
    /// address, the opened source decides about IPv4 instead of [`dual_stack`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use evconn::{Host, Listener, Opened};
    ///
    /// let host = Host::new()?;
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let opened = Opened::Tcp { listener: socket, shared: false };
    /// let listener = Listener::builder(&host).listen(opened).await?;
    /// assert_eq!(listener.local_addr(), address);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Listener::bind`]. Nothing is left open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    ///
    /// [`dual_stack`]: Self::dual_stack
    pub async fn listen(mut self, opened: Opened) -> Result<Listener, Error> {
        match opened {
            Opened::Address {
                address,
                dual_stack,
            } => {
                self.dual_stack = dual_stack;
                if !dual_stack {
                    return self.bind(address).await;
                }
                let acceptor = self.bind_both(address)?;
                self.start(acceptor, None)
            }
            adopted => {
                let name = adopted.to_string();
                let pre = AcceptorPre::new(&self.host)?;
                let acceptor = Acceptor::adopt(&pre, adopted, self.options())?;
                self.start(acceptor, Some(name))
            }
        }
    }

    /// Binds IPv6 and IPv4. For the unspecified address, IPv4 alone is enough if the machine does not
    /// support IPv6.
    fn bind_both(&self, address: SocketAddr) -> Result<Acceptor, Error> {
        let pre = AcceptorPre::new(&self.host)?;
        match Acceptor::bind(&pre, address, self.options()) {
            Err(Error::Socket(code)) => {
                let ipv4 = rules::ipv4_alone(address, code).ok_or(code)?;
                let options = BindOptions {
                    dual_stack: false,
                    ..self.options()
                };
                Acceptor::bind(&pre, ipv4, options)
            }
            result => result,
        }
    }

    fn options(&self) -> BindOptions {
        let wanted = self.control.wanted();
        BindOptions {
            backlog: self.backlog,
            dual_stack: self.dual_stack,
            ipv6_only: self.ipv6_only,
            deferred: self.deferred,
            enabled: wanted.enabled,
            has_callback: wanted.has_callback,
            tcp: self.tcp.clone(),
            policy: self.policy.clone(),
        }
    }

    /// Starts the task that drives the acceptor. The name defaults to the first address.
    fn start(self, mut acceptor: Acceptor, name: Option<String>) -> Result<Listener, Error> {
        let wanted = self.control.wanted();
        let local_addrs = acceptor.local_addrs()?;

        let (control, commands) = watch::channel(self.control);
        let (reports, status) = watch::channel(Status::default());
        let handle = Arc::new(Handle {
            control,
            status,
            name: name.unwrap_or_else(|| local_addrs[0].to_string()),
            local_addrs,
        });
        let owner = Owner(Arc::downgrade(&handle));
        let task = acceptor::run(acceptor, wanted, commands, reports, owner, self.pace);
        tokio::spawn(with_log(task));
        Ok(Listener(handle))
    }
}
