//! The connections that are being served, a task for each: what comes before its service gets it, what
//! ends it, and what the log says of that.

use super::end::End;
use super::peers::{Counted, PeerCounts, PeerFilter};
use super::served::Counters;
use super::watch::{Cut, Watch, Watching};
use crate::connection::{OnRelease, Parts};
use crate::limits::Limits;
use crate::listener::ConnectionCallback;
use crate::runtime::{self, Meter};
use crate::service::{Failure, Instances};
use crate::sockets::{Endpoint, Peer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
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

    /// Until its service is done with it and all that was written is sent, or something else ends it before.
    async fn to_some_end(&self, endpoint: &Arc<Endpoint>, number: u64, place: &Arc<Place>) -> End {
        // As one of its peer's, up to the last byte.
        let mut counted = None;
        let mut cuts = Cuts {
            watching: self.watch.add(endpoint),
            timeout: self
                .limits
                .timeout
                .map(|limit| (limit, Box::pin(sleep(limit)))),
            peer_gone: pin!(endpoint.plain().failed()),
            limits: &self.limits,
        };
        let its_end = self.to_its_end(endpoint, number, place, &mut counted);
        let end = match cuts.unless(its_end).await {
            // Its handler says no more than that.
            Ok(End::Failed(Failure::Handler(_))) if endpoint.plain().has_failed() => End::PeerGone,
            Ok(end) => end,
            Err(cut) => {
                endpoint.reset();
                return cut;
            }
        };
        match cuts.unless(linger(endpoint, &end)).await {
            Ok(()) => end,
            Err(cut) => {
                endpoint.reset();
                end.or(cut)
            }
        }
    }

    /// Until its service is done with it.
    async fn to_its_end(
        &self,
        endpoint: &Arc<Endpoint>,
        number: u64,
        place: &Arc<Place>,
        counted: &mut Option<Counted>,
    ) -> End {
        // Wherever its guest goes on for a while, it is here that it is woken.
        if let Err(error) = endpoint.register() {
            endpoint.reset();
            return End::NoEventLoop(error);
        }
        let instances = self.instances();
        let ingress = instances.service().ingress();
        if let Err(refused) = ingress.identify(endpoint).await {
            return End::Refused(refused);
        }
        // It is known who it is: whoever may not connect is not let into a handshake.
        match self.admit(endpoint) {
            Ok(admitted) => *counted = admitted,
            Err(end) => {
                endpoint.reset();
                return end;
            }
        }
        if let Err(refused) = ingress.encrypt(endpoint).await {
            return End::Refused(refused);
        }
        endpoint.hold_end();
        let meter = Arc::new(Meter::new(self.limits.cpu_timeout));
        let host = instances.service().host().clone();
        let guest = {
            let (endpoint, meter) = (Arc::clone(endpoint), Arc::clone(&meter));
            let place = Arc::clone(place);
            Box::pin(instances.serve(place, endpoint, number, meter))
        };
        match runtime::run(guest, meter, host.background()).await {
            Ok(()) => End::Done,
            // Clients do so any time; the service has been told that its input may not be all of it.
            Err(failure @ Failure::Handler(_)) if endpoint.was_cut() => End::HungUp(failure),
            Err(failure) => End::Failed(failure),
        }
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
}

/// The instance is gone. Its last bytes may still be on their way.
async fn linger(endpoint: &Arc<Endpoint>, end: &End) {
    match end {
        End::Done => endpoint.finish().await,
        End::Failed(_) | End::HungUp(_) => endpoint.abort().await,
        End::PeerGone => endpoint.reset(),
        // It has had its end already.
        _ => {}
    }
}

/// What may cut a connection short.
struct Cuts<'a, F> {
    watching: Watching<'a>,
    timeout: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Done when the peer has reset the connection, or is out of reach.
    peer_gone: Pin<&'a mut F>,
    limits: &'a Limits,
}

impl<F: Future<Output = ()>> Cuts<'_, F> {
    /// What comes of something, unless the connection is cut short before.
    async fn unless<T>(&mut self, something: impl Future<Output = T>) -> Result<T, End> {
        let mut something = pin!(something);
        // All of this is asked whenever the guest is: a select! would cost more.
        poll_fn(|cx| {
            // A connection that ends as it is cut short was served.
            if let Poll::Ready(output) = something.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_cut(cx).map(Err)
        })
        .await
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(cut) = self.watching.poll_cut_short(cx) {
            return Poll::Ready(self.end_of_cut(cut));
        }
        if self
            .watching
            .poll_peer_gone(self.peer_gone.as_mut())
            .is_ready()
        {
            return Poll::Ready(End::PeerGone);
        }
        match &mut self.timeout {
            Some((limit, sleep)) => sleep.as_mut().poll(cx).map(|()| End::Timeout(*limit)),
            None => Poll::Pending,
        }
    }

    fn end_of_cut(&self, cut: Cut) -> End {
        match (cut, self.limits.idle_timeout) {
            (Cut::Idle, Some(limit)) => End::Idle(limit),
            (Cut::HungUp, _) => End::PeerGone,
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
