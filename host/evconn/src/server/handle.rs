//! The handle to a running server.

use super::connections::Connections;
use super::status::ConnectionStatus;
use crate::runtime::Payer;
use crate::service::{InstancePolicy, Instances};
use crate::{Error, Served, Service};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A handle to a [`Server`](super::Server), to be used while it runs. Clones refer to the same server.
#[derive(Clone)]
pub struct ServerHandle {
    connections: Arc<Connections>,
    policy: InstancePolicy,
    stopping: CancellationToken,
    leaves_queues: Arc<AtomicBool>,
}

impl ServerHandle {
    pub(super) fn new(connections: Arc<Connections>, policy: InstancePolicy) -> Self {
        Self {
            connections,
            policy,
            stopping: CancellationToken::new(),
            leaves_queues: Arc::default(),
        }
    }

    /// Replaces the service, with its ingress, for new connections. Open connections keep the service
    /// that they have: its instances get no further connections, and end when theirs have.
    ///
    /// The new service has to belong to the same [`Host`](crate::Host), which provides the capacity for
    /// its instances.
    ///
    /// # Errors
    /// [`Error::TooManyMemories`] if fewer instances of it can exist than the server's limits allow;
    /// [`Error::NotConcurrent`] if it cannot have as many connections for each instance as the server's
    /// [`InstancePolicy`] says. The old service stays in use then.
    pub fn reload(&self, service: &Service) -> Result<(), Error> {
        let limits = self.connections.limits();
        let log = Arc::clone(&self.connections.log);
        let tasks = &self.connections.instance_tasks;
        self.policy.check(service.is_concurrent())?;
        service.check_capacity(self.policy.instances_for(self.connections.capacity()))?;
        let instances = Instances::new(
            service.clone(),
            limits,
            log,
            self.policy,
            tasks,
            &self.connections.recorder,
        );
        self.connections.replace(instances);
        Ok(())
    }

    /// Returns what the server has served so far.
    pub fn served(&self) -> Served {
        Served::of(&self.connections.recorder.snapshot())
    }

    /// Returns the metrics of this server. If it is a [member](crate::ServerBuilder::member) of a quota, they are those of
    /// this member.
    #[cfg(feature = "metrics")]
    pub fn metrics(&self) -> crate::Metrics {
        crate::Metrics::of(self.connections.recorder.clone())
    }

    /// Returns how many connections are open.
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// Returns what is known of each open connection, in no order. It may have ended since.
    ///
    /// This looks at each of them, under a lock that the begin and the end of a connection take, too.
    pub fn connections(&self) -> Vec<ConnectionStatus> {
        self.connections.watch.statuses()
    }

    /// Resets the open connection with this number, whatever its service is doing. Returns whether there was one. In
    /// the counts it is one that no other field of [`Served`] includes than
    /// [`connections`](Served::connections).
    pub fn reset(&self, number: u64) -> bool {
        self.connections.watch.reset(number)
    }

    /// Returns how many instances there are of all services of the server's [`Host`](crate::Host), including those that
    /// are being made, or have no connection. A connection may have none: see `wit/SEMANTICS.md`, "Connections without an
    /// instance".
    pub fn instances(&self) -> usize {
        let instances = self.connections.instances();
        instances.service().host().shortage().instances()
    }

    /// Returns how much CPU time the connections of a peer have used in excess of their shares, in all processes of
    /// the server. Half of it is forgotten after each second. The share of a connection is a hundredth of a core: see
    /// [`HostBuilder::cpu_share`](crate::HostBuilder::cpu_share).
    pub fn cpu_excess(&self, peer: IpAddr) -> Duration {
        self.connections.account_of(peer).used()
    }

    /// Waits until the server begins to shut down. From then on it is not ready any more, although it may
    /// continue to accept for a while.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Leaves the accept queues of the server's sockets to other processes, which accept from the same
    /// sockets: when the server stops accepting after this call, it accepts nothing more from the queues,
    /// and peers continue to connect. It is always so for inherited sockets. A connection that the server
    /// has accepted is served.
    ///
    /// Without this call, the server accepts what is in the queues first, and refuses peers that connect
    /// later: see [`Listener::drain`](crate::Listener::drain). If no other process has a socket, closing
    /// it resets the peers in its queue. The file of a Unix socket that the server created is removed
    /// either way.
    pub fn leave_queues(&self) {
        self.leaves_queues.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves_queues(&self) -> bool {
        self.leaves_queues.load(Ordering::Relaxed)
    }

    pub(super) fn begin_stopping(&self) {
        self.stopping.cancel();
    }

    pub(super) fn all(&self) -> &Arc<Connections> {
        &self.connections
    }
}
