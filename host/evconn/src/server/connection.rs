//! The life of one connection, from accepted to gone.

use super::connections::{Connections, Slot};
use super::cuts::Cuts;
use super::end::End;
use super::peers::PeerConnection;
use crate::runtime::{self, Meter};
use crate::sockets::{Endpoint, Peer};
use std::pin::pin;
use std::sync::Arc;

/// A connection that no instance has yet.
pub(super) struct Accepted {
    /// Its number in the log.
    pub number: u64,
    pub endpoint: Arc<Endpoint>,
    pub slot: Arc<Slot>,
}

/// Serves a connection, from its first byte to its last.
pub(super) async fn serve(server: Arc<Connections>, accepted: Accepted) {
    let Accepted {
        number,
        endpoint,
        slot,
    } = accepted;
    tracing::debug!(number, peer = %Peer::of(&endpoint), "connection accepted");
    let end = {
        let limits = server.limits();
        let instances = server.instances();
        let ingress = instances.service().ingress();
        let mut guard = Guard::new(&endpoint);
        let peer_gone = pin!(endpoint.plain().failed());
        let mut cuts = Cuts::new(&server.watch, &endpoint, peer_gone, &limits);
        // The connection counts as one of its peer's up to its last byte.
        let mut counted = None;

        let served = cuts.unless(async {
            // Registered: wherever its guest goes on for a while, it is woken on this worker.
            endpoint.register().map_err(End::NoEventLoop)?;
            // Ingress: a proxy says who the peer is, and whoever may not connect is not let into a handshake.
            ingress.identify(&endpoint).await?;
            counted = admit(&server, &endpoint)?;
            ingress.encrypt(&endpoint).await?;
            // Instantiated, and handled: where the guest is run that computes a lot, the slot goes with it.
            let meter = Arc::new(Meter::new(limits.cpu_timeout));
            let guest = Arc::clone(&instances).serve(
                Arc::clone(&slot),
                Arc::clone(&endpoint),
                number,
                Arc::clone(&meter),
            );
            let background = instances.service().host().background();
            let handled = runtime::run(Box::pin(guest), meter, background).await;
            handled.map_err(|failure| End::of_failure(failure, &endpoint))
        });
        let end = match served.await {
            Ok(Ok(())) => End::Done,
            Ok(Err(end)) => end,
            Err(cut) => cut,
        };
        // The instance is gone, and the last bytes may still be on their way.
        match cuts.unless(guard.linger(&end)).await {
            Ok(()) => end,
            Err(cut) => end.or(cut),
        }
    };
    server.counters.end(end.kind());
    end.tell(number, &Peer::of(&endpoint));
    // In this order: the next connection is taken when this one is gone.
    drop(endpoint);
    drop(slot);
}

/// Decides whether the peer may be served, and counts it if it does.
fn admit(server: &Connections, endpoint: &Endpoint) -> Result<Option<PeerConnection>, End> {
    if !endpoint.has_peer_address() {
        return Ok(None);
    }
    let peer = endpoint.peer_address().ip();
    if !server.peers.allows(peer) {
        return Err(End::NotAllowed);
    }
    match server.limits().max_connections_per_peer {
        None => Ok(None),
        Some(most) => match server.per_peer.add(peer, most) {
            None => Err(End::TooManyOfPeer(most)),
            counted => Ok(counted),
        },
    }
}

/// Resets a connection unless it came to its end: nothing that a guest drops of it ends it before.
struct Guard {
    endpoint: Arc<Endpoint>,
    has_ended: bool,
}

impl Guard {
    fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.hold_end();
        Self {
            endpoint: Arc::clone(endpoint),
            has_ended: false,
        }
    }

    /// Ends the connection as its service has, and waits until that has reached the peer.
    async fn linger(&mut self, end: &End) {
        match end {
            // What refuses a connection has told its peer so, where there is a way to.
            End::Done | End::Refused(_) => self.endpoint.finish().await,
            End::Failed(_) | End::HungUp(_) => self.endpoint.abort().await,
            _ => self.endpoint.reset(),
        }
        self.has_ended = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.has_ended {
            self.endpoint.reset();
        }
    }
}
