//! All connections of a server: how many there may be, which instances serve the next one, and when the
//! last one has ended.
//!
//! [`connection`](super::connection) has the life of each connection.

use super::access::AccessLog;
use super::accounts::{Accounts, PeerAccount};
use super::connection::{Accepted, serve};
use super::end::End;
use super::handshakes::Handshakes;
use super::hooks::Hooks;
use super::peers::{PeerCounts, PeerFilter};
use super::rates::Rates;
use super::watch::Watch;
use crate::Listener;
use crate::connection::{OnRelease, Parts};
use crate::ingress::Refused;
use crate::limits::{Limits, counted_as};
use crate::listener::{ConnectionCallback, Permit, PermitSource};
use crate::log::LogBudget;
use crate::metrics::{Count, Recorder};
use crate::runtime::LagMeasured;
use crate::service::{InstanceTasks, Instances};
use std::any::Any;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// All connections of a server.
pub(super) struct Connections {
    limits: Limits,
    pub peers: PeerFilter,
    permits: PermitSource,
    pub per_peer: PeerCounts,
    pub rates: Rates,
    accounts: Accounts,
    handshakes: Handshakes,
    /// The instances that serve the next connection.
    instances: RwLock<Arc<Instances>>,
    tasks: TaskTracker,
    /// Those of instances that have several connections.
    pub instance_tasks: InstanceTasks,
    pub watch: Watch,
    pub recorder: Recorder,
    pub log: Arc<LogBudget>,
    pub hooks: Hooks,
    pub access_log: Option<AccessLog>,
    /// Notified when the last open connection ends.
    none_open: Notify,
}

impl Connections {
    pub fn new(
        limits: Limits,
        peers: PeerFilter,
        (instances, instance_tasks): (Instances, InstanceTasks),
        permits: PermitSource,
        recorder: Recorder,
        log: Arc<LogBudget>,
        (hooks, access_log): (Hooks, Option<AccessLog>),
    ) -> Self {
        let handshakes = Handshakes::new(&limits, &permits);
        Self {
            limits,
            peers,
            accounts: match &permits {
                PermitSource::Local(_) => Accounts::local(),
                #[cfg(unix)]
                PermitSource::Shared(member) => Accounts::shared(member.clone()),
            },
            rates: match &permits {
                PermitSource::Local(_) => Rates::local(&limits),
                #[cfg(unix)]
                PermitSource::Shared(member) => Rates::shared(&limits, member),
            },
            permits,
            handshakes,
            per_peer: PeerCounts::new(limits.peer_ipv6_prefix),
            instances: RwLock::new(Arc::new(instances)),
            tasks: TaskTracker::new(),
            instance_tasks,
            watch: Watch::new(limits.idle_timeout, recorder.clone()),
            recorder,
            log,
            hooks,
            access_log,
            none_open: Notify::new(),
        }
    }

    /// Returns the callback that makes a worker serve a connection of a listener, which may be for a port of a
    /// program.
    pub fn callback(
        self: &Arc<Self>,
        listener: &Listener,
        port: Option<u16>,
    ) -> ConnectionCallback {
        let name: Arc<str> = Arc::from(listener.name());
        let connections = Arc::clone(self);
        let permits = self.permits.clone();
        let shortage = self.instances().service().host().shortage().clone();
        let recorder = self.recorder.clone();
        ConnectionCallback::limited_task(
            (permits, shortage),
            recorder,
            move |_listener, parts, permit| {
                let Parts {
                    endpoint,
                    on_release,
                } = parts;
                // Counted before a worker has it: whoever waits until no connection is open waits for this
                // one, too.
                let accepted = Accepted {
                    number: connections.begin(permit.as_ref()),
                    slot: Arc::new(Slot::new(&connections, permit, on_release)),
                    port,
                    listener: Arc::clone(&name),
                    endpoint,
                };
                let host = connections.instances().service().host().clone();
                host.workers()
                    .spawn(serve(Arc::clone(&connections), accepted));
            },
        )
    }

    /// Counts a connection, and returns its number. The first one is 1.
    fn begin(&self, permit: Option<&Permit>) -> u64 {
        let number = permit.and_then(Permit::begin);
        number.unwrap_or_else(|| self.recorder.add(Count::Begun, 1) + 1)
    }

    /// Replaces the instances for new connections. Open connections keep theirs.
    pub fn replace(&self, instances: Instances) {
        let new = Arc::new(instances);
        let mut current = self
            .instances
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Arc::clone(&new));
        drop(current);
        old.retire();
        new.begin_warming();
    }

    pub fn instances(&self) -> Arc<Instances> {
        let current = self.instances.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until no connection is open. Call this when no listener accepts any more.
    pub async fn done(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Returns the account of a peer.
    pub fn account_of(&self, peer: IpAddr) -> PeerAccount {
        self.accounts
            .of(counted_as(peer, self.limits.peer_ipv6_prefix))
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns how many connections this process can serve at a time.
    pub fn capacity(&self) -> usize {
        capacity(&self.permits, &self.limits)
    }

    /// Runs a step of the handshake of a peer, within the limits of those that are under way.
    pub async fn handshake(
        &self,
        peer: Option<IpAddr>,
        slot: &Slot,
        step: impl Future<Output = Result<(), Refused>>,
    ) -> Result<(), End> {
        let peer = peer.map(|peer| counted_as(peer, self.limits.peer_ipv6_prefix));
        let permit = slot.permit.clone();
        let limited = self.handshakes.run(peer, permit, || self.is_full(), step);
        // Boxed, since what it consists of is not needed later.
        Box::pin(limited).await
    }

    /// Returns whether further connections have to wait for the end of others.
    fn is_full(&self) -> bool {
        match &self.permits {
            // Listeners hold some permits in advance.
            PermitSource::Local(permits) => {
                permits.semaphore().available_permits() == 0
                    && 4 * self.open() >= 3 * self.capacity()
            }
            #[cfg(unix)]
            PermitSource::Shared(member) => member.is_full(),
        }
    }

    /// Returns how many connections are open.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// Ends the connections that have been idle for too long, or whose peer has hung up, and logs what exceeds the
    /// log budget.
    pub async fn watch_all(&self) -> Infallible {
        tokio::select! {
            never = self.watch.run() => never,
            never = self.log.report_all() => never,
        }
    }

    /// Measures the event loops that serve the connections, until the returned value is dropped.
    pub fn measure_lag(&self) -> LagMeasured {
        let host = self.instances().service().host().clone();
        host.workers().measure_lag(&self.recorder)
    }

    /// Resets the open connections.
    pub fn kill(&self) {
        self.watch.kill();
    }

    /// Waits until the instances have ended. Call this when no connection is open, and none will be.
    pub async fn instances_ended(&self) {
        self.instances().retire();
        self.instance_tasks.ended().await;
    }

    /// Waits until no connection has been open for `time`.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            let changed = self.none_open.notified();
            let begun = self.recorder.get(Count::Begun);
            if self.tasks.is_empty() {
                sleep(time).await;
                if self.tasks.is_empty() && self.recorder.get(Count::Begun) == begun {
                    return;
                }
            } else {
                changed.await;
            }
        }
    }
}

fn capacity(permits: &PermitSource, limits: &Limits) -> usize {
    match permits {
        PermitSource::Local(_) => limits.max_connections,
        #[cfg(unix)]
        PermitSource::Shared(member) => member.capacity(),
    }
}

/// A connection's share of the server's resources. It is released when both its task and its guest, which
/// may be in the background, are done.
pub(super) struct Slot {
    connections: Arc<Connections>,
    _on_release: OnRelease,
    permit: Option<Arc<Permit>>,
    token: Option<TaskTrackerToken>,
}

impl Slot {
    /// Returns its permit.
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.as_deref()
    }

    /// Returns the permit, for what may last longer than the connection.
    pub fn kept_permit(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let permit = self.permit.clone();
        permit.map(|permit| permit as _)
    }

    /// Lets another connection have the instance of this one, which continues without.
    pub fn leave_instance(&self) {
        if let Some(permit) = &self.permit {
            permit.leave_instance();
        }
    }

    fn new(connections: &Arc<Connections>, permit: Option<Permit>, on_release: OnRelease) -> Self {
        Self {
            connections: Arc::clone(connections),
            _on_release: on_release,
            permit: permit.map(Arc::new),
            token: Some(connections.tasks.token()),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.token = None;
        if self.connections.tasks.is_empty() {
            self.connections.none_open.notify_waiters();
        }
    }
}
