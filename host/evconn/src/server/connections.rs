//! All connections of a server: how many there may be, what serves the next one, and when the last one is gone.
//!
//! Where it ends: what becomes of each one is in [`connection`](super::connection).

use super::connection::{Accepted, serve};
use super::peers::{PeerCounts, PeerFilter};
use super::served::Counters;
use super::watch::Watch;
use crate::connection::{OnRelease, Parts};
use crate::limits::Limits;
use crate::listener::ConnectionCallback;
use crate::service::Instances;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// All connections of a server.
pub(super) struct Connections {
    limits: Limits,
    pub peers: PeerFilter,
    permits: Arc<Semaphore>,
    pub per_peer: PeerCounts,
    /// What serves the next connection.
    instances: RwLock<Arc<Instances>>,
    tasks: TaskTracker,
    pub watch: Watch,
    pub counters: Arc<Counters>,
    /// Notified when no connection is open any more.
    none_open: Notify,
}

impl Connections {
    pub fn new(
        limits: Limits,
        peers: PeerFilter,
        instances: Instances,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            limits,
            peers,
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            per_peer: PeerCounts::new(limits.peer_ipv6_prefix),
            instances: RwLock::new(Arc::new(instances)),
            tasks: TaskTracker::new(),
            watch: Watch::new(limits.idle_timeout),
            counters,
            none_open: Notify::new(),
        }
    }

    /// What a listener does with a connection: have a worker serve it.
    pub fn callback(self: &Arc<Self>) -> ConnectionCallback {
        let connections = Arc::clone(self);
        let permits = Arc::clone(&self.permits);
        ConnectionCallback::limited_task(permits, move |_listener, parts, permit| {
            let Parts {
                endpoint,
                on_release,
            } = parts;
            // Before a worker has it: whoever waits until none is open waits for this one, too.
            let accepted = Accepted {
                number: connections.counters.begin(),
                slot: Arc::new(Slot::new(&connections, permit, on_release)),
                endpoint,
            };
            let host = connections.instances().service().host().clone();
            host.workers()
                .spawn(serve(Arc::clone(&connections), accepted));
        })
    }

    /// Have the next connections served by these instances. The ones that are being served go on.
    pub fn replace(&self, instances: Instances) {
        let new = Arc::new(instances);
        let mut current = self
            .instances
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, new);
        drop(current);
        old.retire();
    }

    pub fn instances(&self) -> Arc<Instances> {
        let current = self.instances.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Wait until no connection is open. To be called when no listener takes any more.
    pub async fn done(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// End those that have been silent for too long.
    pub async fn look_after(&self) -> Infallible {
        self.watch.run().await
    }

    /// Reset the connections that are open.
    pub fn kill(&self) {
        self.watch.kill();
    }

    /// Wait until no connection has been open for that long.
    pub async fn idle_for(&self, time: Duration) {
        loop {
            let changed = self.none_open.notified();
            let begun = self.counters.begun();
            if self.tasks.is_empty() {
                sleep(time).await;
                if self.tasks.is_empty() && self.counters.begun() == begun {
                    return;
                }
            } else {
                changed.await;
            }
        }
    }
}

/// What a connection takes up of its server, until the last of it is gone: from its task, and from the
/// background where its guest may be.
pub(super) struct Slot {
    connections: Arc<Connections>,
    _on_release: OnRelease,
    _permit: Option<OwnedSemaphorePermit>,
    token: Option<TaskTrackerToken>,
}

impl Slot {
    fn new(
        connections: &Arc<Connections>,
        permit: Option<OwnedSemaphorePermit>,
        on_release: OnRelease,
    ) -> Self {
        Self {
            connections: Arc::clone(connections),
            _on_release: on_release,
            _permit: permit,
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
