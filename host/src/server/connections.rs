//! The connections that are being served, a task for each: what comes before its service gets it, what
//! ends it, and what the log says of that.

use super::end::End;
use super::peers::{Counted, PeerCounts, PeerFilter};
use super::served::Counters;
use super::watch::{Cut, Watch};
use crate::connection::{Parts, Peer};
use crate::limits::Limits;
use crate::listener::{ConnectionCallback, OnRelease};
use crate::service::{self, Instances, Meter};
use crate::sockets::Endpoint;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// All connections of a server.
pub(super) struct Connections {
    limits: Limits,
    peers: PeerFilter,
    permits: Arc<Semaphore>,
    per_peer: PeerCounts,
    /// What serves the next connection.
    instances: RwLock<Arc<Instances>>,
    tasks: TaskTracker,
    watch: Watch,
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
            let number = connections.counters.begin();
            let place = Arc::new(Place::new(&connections, permit, on_release));
            let host = connections.instances().service().host().clone();
            host.workers()
                .spawn(Arc::clone(&connections).one(endpoint, number, place));
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

    /// Serve one connection, from its first byte to its last.
    async fn one(self: Arc<Self>, endpoint: Arc<Endpoint>, number: u64, place: Arc<Place>) {
        tracing::debug!(number, peer = %Peer::of(&endpoint), "connection accepted");
        let end = self.to_some_end(&endpoint, number, &place).await;
        self.counters.end(end.kind());
        end.tell(number, &Peer::of(&endpoint));
        // In this order: the next connection is taken when this one is gone.
        drop(endpoint);
        drop(place);
    }

    /// Until its service is done with it, or something else ends it before.
    async fn to_some_end(&self, endpoint: &Arc<Endpoint>, number: u64, place: &Arc<Place>) -> End {
        let mut watching = self.watch.add(endpoint);
        let limit = self.limits.timeout;
        let mut timeout = limit.map(|limit| (limit, Box::pin(sleep(limit))));
        let mut to_its_end = pin!(self.to_its_end(endpoint, number, place));
        // All of this is asked whenever the guest is: a select! would cost more.
        poll_fn(|cx| {
            // A connection that ends as it is cut short was served.
            if let Poll::Ready(end) = to_its_end.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            let end = if let Poll::Ready(cut) = watching.poll_cut_short(cx) {
                self.end_of_cut(cut)
            } else if let Some((limit, sleep)) = &mut timeout
                && sleep.as_mut().poll(cx).is_ready()
            {
                End::Timeout(*limit)
            } else {
                return Poll::Pending;
            };
            endpoint.reset();
            Poll::Ready(end)
        })
        .await
    }

    async fn to_its_end(&self, endpoint: &Arc<Endpoint>, number: u64, place: &Arc<Place>) -> End {
        // Wherever its guest goes on for a while, it is here that it is woken.
        if let Err(error) = endpoint.register() {
            endpoint.reset();
            return End::NoEventLoop(error);
        }
        let instances = self.instances();
        let edge = instances.service().edge();
        if let Err(refused) = edge.identify(endpoint).await {
            return End::Refused(refused);
        }
        // It is known who it is: whoever may not connect is not let into a handshake.
        let _counted = match self.admit(endpoint) {
            Ok(counted) => counted,
            Err(end) => {
                endpoint.reset();
                return end;
            }
        };
        if let Err(refused) = edge.encrypt(endpoint).await {
            return End::Refused(refused);
        }
        let meter = Arc::new(Meter::new(self.limits.cpu_timeout));
        let host = instances.service().host().clone();
        let guest = {
            let (endpoint, meter) = (Arc::clone(endpoint), Arc::clone(&meter));
            let place = Arc::clone(place);
            Box::pin(instances.serve(place, endpoint, number, meter))
        };
        let end = match service::run(guest, meter, host.background()).await {
            Ok(()) => End::Done,
            Err(failure) => End::Failed(failure),
        };
        // The instance is gone. Its last bytes may still be on their way, unless they were given up.
        endpoint.is_sent().await;
        end
    }

    /// Whether the peer may be served, and that it is.
    fn admit(&self, endpoint: &Endpoint) -> Result<Option<Counted>, End> {
        if !endpoint.has_peer_address() {
            return Ok(None);
        }
        let peer = endpoint.peer_address();
        if !self.peers.allows(peer.ip()) {
            return Err(End::NotAllowed);
        }
        match self.limits.max_connections_per_peer {
            None => Ok(None),
            Some(most) => match self.per_peer.add(peer.ip(), most) {
                None => Err(End::TooManyOfPeer(most)),
                counted => Ok(counted),
            },
        }
    }

    fn end_of_cut(&self, cut: Cut) -> End {
        match (cut, self.limits.idle_timeout) {
            (Cut::Idle, Some(limit)) => End::Idle(limit),
            (Cut::Idle, None) | (Cut::Shutdown, _) => End::Shutdown,
        }
    }
}

/// What a connection takes up of its server, until the last of it is gone: from its task, and from the
/// background where its guest may be.
struct Place {
    connections: Arc<Connections>,
    _on_release: OnRelease,
    _permit: Option<OwnedSemaphorePermit>,
    token: Option<TaskTrackerToken>,
}

impl Place {
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

impl Drop for Place {
    fn drop(&mut self) {
        self.token = None;
        if self.connections.tasks.is_empty() {
            self.connections.none_open.notify_waiters();
        }
    }
}
