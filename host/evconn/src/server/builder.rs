//! Configures and binds servers.

use super::access::AccessLog;
use super::connections::Connections;
use super::end::{End, Others};
use super::hooks::Hooks;
use super::{ConnectionEnd, ConnectionInfo, KillOnDrop, PeerFilter, Server, ServerHandle};
use crate::listener::{LocalPermits, PermitSource};
use crate::log::LogBudget;
use crate::metrics::{Count, Recorder};
#[cfg(unix)]
use crate::quota::Member;
use crate::service::{InstancePolicy, InstanceTasks, Instances};
use crate::sockets::{Policy, TcpOptions, Use};
use crate::{AcceptRate, Error, Limits, ListenSource, Listener, ListenerBuilder, Opened, Service};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Configures a [`Server`].
pub struct ServerBuilder {
    service: Service,
    /// Each with the port of a program's socket whose connections it has, if that was named.
    sources: Vec<(Option<u16>, ListenSource)>,
    opened: Vec<(Option<u16>, Opened)>,
    listeners: Vec<(Option<u16>, Listener)>,
    limits: Limits,
    peers: PeerFilter,
    policy: InstancePolicy,
    tcp: TcpOptions,
    backlog: Option<u32>,
    accept_rate: Option<AcceptRate>,
    max_accepts_per_turn: Option<NonZeroU32>,
    shutdown_after_idle: Option<Duration>,
    hooks: Hooks,
    access_log: Option<AccessLog>,
    #[cfg(unix)]
    member: Option<Member>,
}

impl ServerBuilder {
    pub(super) fn new(service: &Service) -> Self {
        Self {
            service: service.clone(),
            sources: Vec::new(),
            opened: Vec::new(),
            listeners: Vec::new(),
            limits: *service.host().limits(),
            peers: PeerFilter::default(),
            policy: InstancePolicy::default(),
            tcp: TcpOptions::default(),
            backlog: None,
            accept_rate: None,
            max_accepts_per_turn: None,
            shutdown_after_idle: None,
            hooks: Hooks::default(),
            access_log: None,
            #[cfg(unix)]
            member: None,
        }
    }

    /// Adds a source to listen on.
    pub fn listen(mut self, source: ListenSource) -> Self {
        self.sources.push((None, source));
        self
    }

    /// Adds a source to listen on for one socket of a program: the one that the program binds to this port. Other
    /// connections of the program go to the first socket on which it listens. Has no effect for a handler.
    pub fn listen_for(mut self, port: u16, source: ListenSource) -> Self {
        self.sources.push((Some(port), source));
        self
    }

    /// Adds a socket that is listening already: from [`ListenSource::listen`], in this process or in another
    /// one, or from [`Opened::from_fd`]. All settings of this builder apply to it except [`backlog`](Self::backlog).
    pub fn listen_on(mut self, opened: Opened) -> Self {
        self.opened.push((None, opened));
        self
    }

    /// Adds a socket as [`listen_on`](Self::listen_on) does, for one socket of a program as
    /// [`listen_for`](Self::listen_for) does.
    pub fn listen_on_for(mut self, port: u16, opened: Opened) -> Self {
        self.opened.push((Some(port), opened));
        self
    }

    /// Adds a listener whose connections are served. Its callback is replaced, and it is closed when
    /// serving ends. The socket settings of this builder ([`tcp_options`](Self::tcp_options),
    /// [`backlog`](Self::backlog)) do not apply to it.
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push((None, listener));
        self
    }

    /// Sets the limits of each connection, and of all of them together. Defaults to those of the host
    /// ([`HostBuilder::limits`](crate::HostBuilder::limits)): say them there if the process has one server. Otherwise
    /// begin with these: `Limits { timeout, ..*host.limits() }`.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets which peers may connect. Defaults to all. Other peers are reset before anything is read from
    /// them and before any code of the service runs. If a proxy announces the peers, the announced
    /// address counts.
    pub fn peers(mut self, peers: PeerFilter) -> Self {
        self.peers = peers;
        self
    }

    /// Sets which connections share an instance, and how many instances there are. Defaults to
    /// [`InstancePolicy::FRESH`]. If there are fewer instances than connections could have,
    /// [`Limits::max_connections`] is lowered, except for a handler of WASI 0.3: its connections may continue without an
    /// instance, and others get that.
    ///
    /// If several processes share a [`Quota`](crate::Quota), this is for the instances of this one.
    pub fn instances(mut self, policy: InstancePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the socket options. Defaults to [`TcpOptions::default`].
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Sets the length of the accept queue. Defaults to 4096; the kernel may lower it. An inherited
    /// socket keeps its own.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// Limits how many connections are accepted per second by all of the server's listeners together.
    /// Further connections wait in the accept queue. Defaults to no limit.
    pub fn accept_rate(mut self, rate: AcceptRate) -> Self {
        self.accept_rate = Some(rate);
        self
    }

    /// Sets how many connections a listener accepts in one iteration, before other tasks run. See
    /// [`ListenerBuilder::max_accepts_per_turn`].
    pub fn max_accepts_per_turn(mut self, count: NonZeroU32) -> Self {
        self.max_accepts_per_turn = Some(count);
        self
    }

    /// Shuts down when no connection has been open for this time. Defaults to never.
    pub fn shutdown_after_idle(mut self, time: Duration) -> Self {
        self.shutdown_after_idle = Some(time);
        self
    }

    /// Sets what is called when a connection begins: it was accepted, and nothing was read from it.
    ///
    /// `hook` is called on the worker thread that serves the connection, before that is served. The other connections
    /// of the thread wait until it returns: it must not block, and should take microseconds. It may update counters,
    /// send to a channel that is not full, or spawn a task. A panic in it is logged, and ends nothing.
    ///
    /// There is neither a begin nor an end for a peer that the [`PeerFilter`] refuses while it is being accepted:
    /// these count in [`Served::refused`](crate::Served::refused) only.
    pub fn on_begin(mut self, hook: impl Fn(&ConnectionInfo) + Send + Sync + 'static) -> Self {
        self.hooks.on_begin = Some(Arc::new(hook));
        self
    }

    /// Sets what is called when a connection has ended, with its figures. It is called once for each connection that
    /// [has begun](Self::on_begin), and before [`Server::run`] returns, unless the future of that is dropped. The same
    /// rules apply as for [`on_begin`](Self::on_begin).
    ///
    /// ```
    /// # use evconn::{EndCause, Host, Server, Service, guests};
    /// # fn main() -> Result<(), evconn::Error> {
    /// # let host = Host::new()?;
    /// # let service = Service::new(&host, guests::ECHO)?;
    /// let builder = Server::builder(&service).on_end(|connection, end| {
    ///     if end.cause != EndCause::Done {
    ///         println!("{} of {}: {:?}", connection.number, connection.peer, end.cause);
    ///     }
    ///     println!("{} bytes in, {} out, {:?}", end.received, end.sent, end.cpu_time);
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_end(
        mut self,
        hook: impl Fn(&ConnectionInfo, &ConnectionEnd) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.on_end = Some(Arc::new(hook));
        self
    }

    /// Logs each Nth connection when it ends: as a record of level `info` and of the target `evconn::access`, with its
    /// number, peer and listener, the figures of [`ConnectionEnd`], and what was negotiated for TLS. Connections that were
    /// refused are not among them. They may take half of [`Limits::log_budget`], so that what fails is logged in any
    /// case. Defaults to none.
    pub fn access_log(mut self, every: NonZeroU32) -> Self {
        self.access_log = Some(AccessLog::new(every));
        self
    }

    /// Makes the server part of a [`Quota`](crate::Quota), which several processes share. These limits are
    /// the quota's then, for all processes together: [`max_connections`](Limits::max_connections),
    /// [`max_connections_per_peer`](Limits::max_connections_per_peer),
    /// [`max_handshakes`](Limits::max_handshakes),
    /// [`max_handshakes_per_peer`](Limits::max_handshakes_per_peer),
    /// [`accept_rate_per_peer`](Limits::accept_rate_per_peer),
    /// [`limit_rate_per_peer`](Limits::limit_rate_per_peer),
    /// [`peer_ipv6_prefix`](Limits::peer_ipv6_prefix), and the [`accept_rate`](Self::accept_rate) if the
    /// quota has one. The host requires capacity for the connections of this member only. In the log, the numbers of
    /// connections are unique in all processes. [`ServerHandle::served`] and [`ServerHandle::open`] return
    /// the counts of this member.
    ///
    /// Processes that accept from the same sockets share the connections: one that has clearly more than
    /// another leaves new ones to it for 2 ms.
    #[cfg(unix)]
    pub fn member(mut self, member: Member) -> Self {
        self.member = Some(member);
        self
    }

    /// Listens. From now on peers can connect; they are served once [`Server::run`] is called.
    ///
    /// # Errors
    /// [`Error::TooManyConnections`], [`Error::TooManyMemories`] or [`Error::LimitTooHigh`] if the host
    /// was not configured for these limits; [`Error::NotConcurrent`] if an instance of the service cannot have as many
    /// connections as its [policy](Self::instances) says; [`Error::Source`] or [`Error::Listen`] if a source cannot be
    /// opened or bound; otherwise as [`Listener::bind`]. Nothing is left open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn bind(mut self) -> Result<Server, Error> {
        self.policy.check(self.service.is_concurrent())?;
        if let Some(most) = self.policy.max_connections()
            && !self.service.has_tasks()
        {
            self.limits.max_connections = self.limits.max_connections.min(most);
        }
        let host = self.service.host().clone();
        let (permits, recorder) = self.permits();
        let capacity = match &permits {
            PermitSource::Local(_) => self.limits.max_connections,
            #[cfg(unix)]
            PermitSource::Shared(member) => member.capacity(),
        };
        host.check_capacity(&Limits {
            max_connections: capacity,
            ..self.limits
        })?;
        self.service
            .check_capacity(self.policy.instances_for(capacity))?;
        let log = Arc::new(match &permits {
            PermitSource::Local(_) => LogBudget::local(&self.limits),
            #[cfg(unix)]
            PermitSource::Shared(member) => LogBudget::shared(&self.limits, member.clone()),
        });
        let mut listeners = std::mem::take(&mut self.listeners);
        let refusals = Refusals {
            recorder: recorder.clone(),
            log: Arc::clone(&log),
        };
        if let Err(error) = self.open(&mut listeners, &refusals).await {
            let (_, listeners): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
            super::close(&listeners).await;
            return Err(error);
        }
        let tasks = InstanceTasks::default();
        let (service, limits, policy) = (self.service, self.limits, self.policy);
        let instances =
            Instances::new(service, limits, Arc::clone(&log), policy, &tasks, &recorder);
        let instances = (instances, tasks);
        let observers = (self.hooks, self.access_log);
        let connections = Connections::new(
            limits, self.peers, instances, permits, recorder, log, observers,
        );
        let handle = ServerHandle::new(Arc::new(connections), policy);
        let (ports, listeners) = listeners.into_iter().unzip();
        Ok(Server {
            _killed_on_drop: KillOnDrop(handle.clone()),
            handle,
            listeners,
            ports,
            shutdown_after_idle: self.shutdown_after_idle,
        })
    }
}

impl ServerBuilder {
    /// Returns where the permits come from, and what counts the connections: of this process, or of all
    /// that share its quota, whose limits it applies.
    fn permits(&mut self) -> (PermitSource, Recorder) {
        #[cfg(unix)]
        if let Some(member) = self.member.take() {
            let member = match self.policy.max_connections() {
                Some(most) if self.service.has_tasks() => member.with_instances_for(most),
                Some(most) => member.with_capacity_of(most),
                None => member,
            };
            let limits = &mut self.limits;
            limits.max_connections = member.max_connections();
            (limits.max_connections_per_peer, limits.peer_ipv6_prefix) = member.per_peer();
            (limits.accept_rate_per_peer, limits.limit_rate_per_peer) = member.rates_per_peer();
            self.accept_rate = AcceptRate::of_quota(&member).or(self.accept_rate.take());
            let recorder = Recorder::new(member.clone());
            return (PermitSource::Shared(member), recorder);
        }
        let all = self.limits.max_connections;
        let with_instance = all.min(self.policy.max_connections().unwrap_or(usize::MAX));
        let permits = LocalPermits::new(with_instance, all - with_instance);
        (PermitSource::Local(permits), Recorder::default())
    }

    /// Listens on the sockets and on the sources.
    async fn open(
        &mut self,
        listeners: &mut Vec<(Option<u16>, Listener)>,
        refusals: &Refusals,
    ) -> Result<(), Error> {
        let host = self.service.host().clone();
        // The task fails only when the host ends, which this function keeps alive.
        let closed = || Error::Closed;
        for (port, opened) in std::mem::take(&mut self.opened) {
            let listening = self.listener_builder(refusals).listen(opened);
            let listener = host
                .workers()
                .on_first(listening)
                .await
                .ok_or_else(closed)?;
            listeners.push((port, listener?));
        }
        for (port, source) in &self.sources {
            let (builder, place) = (self.listener_builder(refusals), source.clone());
            let listening = async move { builder.listen_on(&place).await };
            let opened = host
                .workers()
                .on_first(listening)
                .await
                .ok_or_else(closed)?;
            let opened = opened.map_err(|error| error.at(source))?;
            listeners.extend(opened.into_iter().map(|listener| (*port, listener)));
        }
        Ok(())
    }

    /// Returns the builder for the listeners of the sockets and the sources.
    fn listener_builder(&self, refusals: &Refusals) -> ListenerBuilder {
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
        // The peer is known when its connection is accepted, unless a proxy announces it later.
        if self.peers.refuses_some() && !self.service.ingress().has_proxy() {
            builder = builder.policy(accepting_from(self.peers.clone(), refusals.clone()));
        }
        builder
    }
}

/// What happens to peers that are refused.
#[derive(Clone)]
struct Refusals {
    recorder: Recorder,
    log: Arc<LogBudget>,
}

impl Refusals {
    fn deny(&self, peer: SocketAddr) {
        self.recorder.add(Count::Denied, 1);
        match self.log.refuse().map(Others) {
            Some(others) => tracing::info!(%peer, "connection {}{others}", End::NotAllowed),
            None => tracing::debug!(%peer, "connection {}", End::NotAllowed),
        }
    }
}

/// Returns the policy that accepts the peers which the filter allows, and counts and logs the others. It does not
/// restrict the listener's own address.
fn accepting_from(peers: PeerFilter, refusals: Refusals) -> Policy {
    Policy::new(move |address, used_for| {
        // The peer of a Unix socket has port 0. A TCP peer with that port is checked when its connection
        // is served.
        let is_unix = address.port() == 0;
        let allowed = used_for != Use::Accept || is_unix || peers.allows(address.ip());
        if !allowed {
            refusals.deny(address);
        }
        allowed
    })
}
