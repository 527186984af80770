//! How a listener is to be made.

use super::acceptor::{self, Acceptor, AcceptorPre, BindOptions, DeferredAccept, Pace};
use super::addresses;
use super::callback::OneAtATime;
use super::{
    AcceptError, AcceptRate, ConnectionCallback, Control, Handle, Listener, Owner, Status,
};
use crate::log::with_log;
use crate::sockets::{Policy, TcpOptions};
use crate::{Connection, Error, ErrorCode, Host, ListenSource, Opened, address};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How a [`Listener`] is to be made, or several: it can be cloned. A closure that they have in common
/// is called for one connection of all of them at a time; clones of a policy or of a rate share what
/// they count.
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

    /// How many connections the kernel may hold that were not yet accepted. Default: 4096, or what
    /// the kernel caps it at. With 0, [`bind`](Self::bind) fails with
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument).
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// The most connections that are taken from the kernel's queue in one turn, before other tasks get
    /// theirs. Default: 64. For a closure that is called for one connection at a time, it is always 1.
    pub fn max_accepts_per_turn(mut self, count: NonZeroU32) -> Self {
        self.pace.per_turn = count;
        self
    }

    /// How many connections may be accepted in a second, by all listeners that share this rate. Where
    /// more come, they wait in the kernel's queue. Default: as many as come.
    pub fn accept_rate(mut self, rate: AcceptRate) -> Self {
        self.pace.rate = Some(rate);
        self
    }

    /// Listen on an IPv6 and an IPv4 socket that share one port: on `[::]` and `0.0.0.0`, or on
    /// `[::1]` and `127.0.0.1`. With any other address, [`bind`](Self::bind) fails with
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument). Default: false.
    pub fn dual_stack(mut self, value: bool) -> Self {
        self.dual_stack = value;
        self
    }

    /// Deliver a connection only when its peer has sent something, or has ended its side. Meanwhile
    /// it is held: at most `max_held` at a time, and each for at most `timeout`, after which it is
    /// closed. With 0 of either, [`bind`](Self::bind) fails with
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument). Default: off.
    ///
    /// Each look for connections costs as much as there are held ones.
    pub fn deferred_accept(mut self, max_held: u32, timeout: Duration) -> Self {
        self.deferred = Some(DeferredAccept { max_held, timeout });
        self
    }

    /// Only IPv6 peers are wanted: binding an IPv4 address then fails. Default: false, and an IPv6
    /// address takes IPv6 peers only all the same. With [`dual_stack`](Self::dual_stack) it has no
    /// effect.
    pub fn ipv6_only(mut self, value: bool) -> Self {
        self.ipv6_only = value;
        self
    }

    /// How the sockets are set up: the listening ones, and with them those of the connections.
    /// Default: [`TcpOptions::default`].
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Which of its addresses it may use, and whose connections it takes: the peers that `policy` does
    /// not allow are reset, and nobody is told of them. Default: [`Policy::allow_all`]. What is not the
    /// listener's address cannot be used anyway.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether the listener starts enabled. Default: true.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.control.enabled = enabled;
        self
    }

    /// Start with the callback of [`Listener::set_callback`].
    pub fn on_connection(
        mut self,
        callback: impl FnMut(&Listener, Connection) + Send + 'static,
    ) -> Self {
        self.control.on_connection = Some(ConnectionCallback::closure(callback));
        self
    }

    /// Start with the callback of [`Listener::set_async_callback`].
    pub fn on_connection_async<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Listener, Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.control.on_connection = Some(ConnectionCallback::task(callback));
        self
    }

    /// Start with the callback of [`Listener::set_error_callback`].
    pub fn on_error(
        mut self,
        callback: impl FnMut(&Listener, AcceptError) + Send + 'static,
    ) -> Self {
        self.control.on_error = Some(OneAtATime::new(callback));
        self
    }

    /// Listen on `address`. See [`Listener::bind`].
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

    /// Listen on each socket that `source` has: mostly one, but a name may stand for several addresses,
    /// and systemd may pass several sockets.
    ///
    /// The backlog is that of a socket that is made here, a Unix socket too. What the source says of
    /// IPv4 replaces [`dual_stack`]. A Unix socket's file goes when its listener is closed. Of a name,
    /// addresses of a family that the machine does not have are left out, and that is logged.
    ///
    /// It may block for as long as [`ListenSource::open`] does, but for a name.
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
    /// [`Error::Source`] if the source cannot be opened; [`Error::Address`] with that of a name's
    /// addresses that cannot be bound; otherwise as [`Listener::bind`]. Nothing is left open then.
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

    /// Listen on what a [`ListenSource`] was opened to, or on a socket of your
    /// own that listens.
    ///
    /// Of a socket that listens, the backlog is left as it is, and [`dual_stack`] is of no
    /// consequence. Of an address, what it says of IPv4 replaces [`dual_stack`].
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

    /// Bind IPv6 and IPv4. For any interface, IPv4 alone will do where the machine has no IPv6.
    fn bind_both(&self, address: SocketAddr) -> Result<Acceptor, Error> {
        let pre = AcceptorPre::new(&self.host)?;
        match Acceptor::bind(&pre, address, self.options()) {
            Err(Error::Socket(
                code @ (ErrorCode::NotSupported | ErrorCode::AddressNotBindable),
            )) if address.ip().is_unspecified() => {
                tracing::info!("listening on IPv4 only: this machine has no IPv6 ({code})");
                let options = BindOptions {
                    dual_stack: false,
                    ..self.options()
                };
                let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                Acceptor::bind(&pre, address, options)
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

    /// Start the task that drives the acceptor. Without a name, it has that of its first address.
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
