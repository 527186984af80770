//! How a server is to be made.

use super::connections::Connections;
use super::served::Counters;
use super::{PeerFilter, Server, ServerHandle};
use crate::service::{Instances, Reuse};
use crate::sockets::{Policy, TcpOptions, Use};
use crate::{AcceptRate, Error, Limits, ListenSource, Listener, ListenerBuilder, Service};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// How a [`Server`] is to be made.
pub struct ServerBuilder {
    service: Service,
    sources: Vec<ListenSource>,
    listeners: Vec<Listener>,
    limits: Limits,
    peers: PeerFilter,
    reuse: Reuse,
    tcp: TcpOptions,
    backlog: Option<u32>,
    accept_rate: Option<AcceptRate>,
    max_accepts_per_turn: Option<NonZeroU32>,
    shutdown_after_idle: Option<Duration>,
}

impl ServerBuilder {
    pub(super) fn new(service: &Service) -> Self {
        Self {
            service: service.clone(),
            sources: Vec::new(),
            listeners: Vec::new(),
            limits: Limits::default(),
            peers: PeerFilter::default(),
            reuse: Reuse::default(),
            tcp: TcpOptions::default(),
            backlog: None,
            accept_rate: None,
            max_accepts_per_turn: None,
            shutdown_after_idle: None,
        }
    }

    /// Listen on this, too.
    pub fn listen(mut self, source: ListenSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Take the connections of this listener, too. Its callback is replaced, and it is closed when
    /// serving ends. What is said here of sockets ([`tcp_options`](Self::tcp_options),
    /// [`backlog`](Self::backlog)) does not concern it.
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// What one connection, and all of them together, may use. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who may connect. Default: all. Others are reset before anything of them is read, and before
    /// any code of the service runs; where a proxy announces its peers, the address that it announces
    /// counts.
    pub fn peers(mut self, peers: PeerFilter) -> Self {
        self.peers = peers;
        self
    }

    /// How often an instance is used. Default: once.
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// How sockets are set up. Default: [`TcpOptions::default`].
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// How many connections the kernel may hold that were not yet accepted. Default: 4096, or what
    /// the kernel caps it at. A socket that was inherited keeps its own.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// The most connections that are accepted in a second, by all of its listeners together; more wait
    /// in the kernel's queue. Default: no limit.
    pub fn accept_rate(mut self, rate: AcceptRate) -> Self {
        self.accept_rate = Some(rate);
        self
    }

    /// The most connections that a listener accepts before others get their turn. See
    /// [`ListenerBuilder::max_accepts_per_turn`].
    pub fn max_accepts_per_turn(mut self, count: NonZeroU32) -> Self {
        self.max_accepts_per_turn = Some(count);
        self
    }

    /// End when no connection has been open for that long. Default: never.
    pub fn shutdown_after_idle(mut self, time: Duration) -> Self {
        self.shutdown_after_idle = Some(time);
        self
    }

    /// Listen. Peers can connect from now on; they are served when [`Server::run`] is.
    ///
    /// # Errors
    /// [`Error::TooManyConnections`], [`Error::TooManyMemories`] or [`Error::LimitTooHigh`] if the host has
    /// no room for the limits;
    /// [`Error::Source`] or [`Error::Listen`] if a source cannot be had; otherwise as
    /// [`Listener::bind`]. Nothing is left open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn bind(mut self) -> Result<Server, Error> {
        let host = self.service.host().clone();
        host.check_room(&self.limits)?;
        self.service.check_room(self.limits.max_connections)?;
        let mut listeners = std::mem::take(&mut self.listeners);
        let counters = Arc::<Counters>::default();
        for source in &self.sources {
            let (builder, place) = (self.listener_builder(&counters), source.clone());
            let listening = async move { builder.listen_on(&place).await };
            let opened = host.workers().on_first(listening).await;
            // They end when their host does, which is here.
            match opened.unwrap_or(Err(Error::Closed)) {
                Ok(opened) => listeners.extend(opened),
                Err(error) => {
                    super::close(&listeners).await;
                    return Err(on(source, error));
                }
            }
        }
        let instances = Instances::new(self.service, self.limits, self.reuse);
        let connections = Connections::new(self.limits, self.peers, instances, counters);
        Ok(Server {
            handle: ServerHandle::new(Arc::new(connections), self.reuse),
            listeners,
            shutdown_after_idle: self.shutdown_after_idle,
        })
    }
}

impl ServerBuilder {
    /// How the listeners of its sources are made.
    fn listener_builder(&self, counters: &Arc<Counters>) -> ListenerBuilder {
        let mut builder = Listener::builder(self.service.host()).tcp_options(self.tcp.clone());
        if let Some(backlog) = self.backlog {
            builder = builder.backlog(backlog);
        }
        if let Some(rate) = &self.accept_rate {
            builder = builder.accept_rate(rate.clone());
        }
        if let Some(count) = self.max_accepts_per_turn {
            builder = builder.max_accepts_per_turn(count);
        }
        // Who connects is known when it is accepted, unless a proxy does.
        if self.peers.refuses_some() && !self.service.ingress().has_proxy() {
            builder = builder.policy(accepting_from(self.peers.clone(), Arc::clone(counters)));
        }
        builder
    }
}

/// Which of several sources it is about.
fn on(source: &ListenSource, error: Error) -> Error {
    match error {
        Error::Socket(code) => Error::Listen {
            place: source.clone(),
            code,
        },
        // One of those of the source.
        Error::Address { address, code } => Error::Listen {
            place: ListenSource::Address(address),
            code,
        },
        error => error,
    }
}

/// Lets those in that the filter does, and counts the others; what a listener does with its own address is
/// not its business.
fn accepting_from(peers: PeerFilter, counters: Arc<Counters>) -> Policy {
    Policy::new(move |address, used_for| {
        // A peer of a Unix socket passes for port 0. Another who has it is asked again when it is served.
        let is_unix = address.port() == 0;
        let allowed = used_for != Use::Accept || is_unix || peers.allows(address.ip());
        if !allowed {
            counters.turn_away();
        }
        allowed
    })
}
