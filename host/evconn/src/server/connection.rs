//! The life of a connection, from accept to its last byte.

use super::ConnectionEnd;
use super::connections::{Connections, Slot};
use super::cuts::Cuts;
use super::end::End;
use super::peers::PeerConnection;
use super::status::ConnectionState;
use super::watch::Watched;
use crate::metrics::{Kind, Timing};
use crate::runtime::{InstanceUse, Meter, Payer};
use crate::service::{Failure, Instances, Rest};
use crate::sockets::{Endpoint, Peer};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

/// A connection that has not been given to an instance yet.
pub(super) struct Accepted {
    /// Its number in the log.
    pub number: u64,
    /// The port of a program's socket that it is for, if its listen source names one.
    pub port: Option<u16>,
    /// The name of its listener.
    pub listener: Arc<str>,
    pub endpoint: Arc<Endpoint>,
    pub slot: Arc<Slot>,
}

/// Serves a connection, from its first byte to its last.
pub(super) async fn serve(server: Arc<Connections>, accepted: Accepted) {
    let Accepted {
        number,
        listener,
        endpoint,
        slot,
        ..
    } = &accepted;
    tracing::debug!(number, peer = %Peer::of(endpoint), "connection accepted");
    let meter = Meter::new(server.limits().cpu_timeout, &server.recorder);
    let meter = Arc::new(meter);
    let hooked = server.hooks.begin(*number, endpoint, listener, &meter);
    let (end, phases) = {
        let limits = server.limits();
        let instances = server.instances();
        let mut guard = Guard::new(endpoint);
        let peer_gone = pin!(endpoint.plain().failed());
        let watching = server.watch.add(endpoint, *number, listener);
        let mut cuts = Cuts::new(watching, peer_gone, &limits);
        let watched = Arc::clone(cuts.watched());
        // The connection counts against the limit of its peer until its last byte.
        let mut counted = None;

        let served = pin!(async {
            // Registered: wherever its guest continues to run, it is woken on this worker.
            endpoint.register().map_err(End::NoEventLoop)?;
            // Identified: a proxy announces the peer, which is checked before it can start a TLS handshake.
            identify(&server, &instances, &accepted).await?;
            counted = admit(&server, endpoint, slot)?;
            server.rates.limit(endpoint);
            // All that follows is charged to the connection and its peer, and continues in the background if they
            // have used a lot.
            charge_peer(&server, endpoint, &meter);
            encrypt(&server, &instances, &accepted, &meter).await?;
            // Instantiated and handled.
            handle(&server, &instances, &accepted, &meter, &watched).await
        });
        let end = match cuts.unless(served).await {
            Ok(Ok(())) => End::Done,
            Ok(Err(end)) => end,
            // Its program has closed it, and is not waited for any longer.
            Err(_) if endpoint.was_closed_by_guest() => End::Done,
            Err(End::Idle(limit)) if instances.service().is_waited_for(endpoint) => {
                End::NotAccepted(limit)
            }
            Err(cut) => cut,
        };
        cuts.watched().enter(ConnectionState::Lingering);
        // The instance is gone; the last bytes may not have been sent yet.
        let lingered = cuts.unless(pin!(guard.linger(&end))).await;
        let end = match lingered {
            Ok(()) => end,
            Err(cut) => end.or(cut),
        };
        (end, cuts.watched().phases())
    };
    let figures = ConnectionEnd::of(&accepted.endpoint, &meter, phases, end.cause());
    record(&server, &accepted, &end, &figures, &meter).await;
    if let Some(hooked) = hooked {
        hooked.end(&figures);
    }
    // In this order: the next connection is accepted after this one is closed.
    drop(accepted.endpoint);
    drop(accepted.slot);
}

/// Waits until a proxy has announced the peer, if there is one.
async fn identify(
    server: &Connections,
    instances: &Instances,
    accepted: &Accepted,
) -> Result<(), End> {
    let ingress = instances.service().ingress();
    if !ingress.has_proxy() {
        return Ok(());
    }
    let step = ingress.identify(&accepted.endpoint);
    server.handshake(None, &accepted.slot, step).await
}

/// Has the peer of a connection pay for it, now that the peer is known.
fn charge_peer(server: &Connections, endpoint: &Endpoint, meter: &Meter) {
    if let Some(payer) = payer(server, endpoint) {
        meter.set_payer(payer);
    }
}

/// Returns the account of the peer of a connection, if that is known.
fn payer(server: &Connections, endpoint: &Endpoint) -> Option<Box<dyn Payer>> {
    let account = || Box::new(server.account_of(endpoint.peer_address().ip())) as _;
    endpoint.has_peer_address().then(account)
}

/// Encrypts a connection, if the service has a certificate.
async fn encrypt(
    server: &Connections,
    instances: &Instances,
    accepted: &Accepted,
    meter: &Arc<Meter>,
) -> Result<(), End> {
    let (service, endpoint) = (instances.service(), &accepted.endpoint);
    let Some(handshake) = service.ingress().handshake(endpoint) else {
        return Ok(());
    };
    let peer = endpoint
        .has_peer_address()
        .then(|| endpoint.peer_address().ip());
    // Boxed, so that a connection without TLS is no larger.
    let step = Box::pin(async {
        let background = service.host().background();
        let session = background.run(handshake, meter).await?;
        session.encrypt(endpoint);
        Ok(())
    });
    server.handshake(peer, &accepted.slot, step).await
}

/// Has an instance handle a connection, and does alone what is left of it when the instance has it no more.
async fn handle(
    server: &Connections,
    instances: &Arc<Instances>,
    accepted: &Accepted,
    meter: &Arc<Meter>,
    watched: &Watched,
) -> Result<(), End> {
    let endpoint = &accepted.endpoint;
    watched.enter(match instances.are_shared() {
        true => ConnectionState::Sharing,
        false => ConnectionState::Handling,
    });
    let of_failure = |failure| End::of_failure(failure, endpoint);
    let background = instances.service().host().background();
    // Boxed, so that its memory is not reserved while the host does the rest.
    let instance = Box::pin(with_instance(server, instances, accepted, meter));
    let Some(rest) = instance.await.map_err(of_failure)? else {
        return Ok(());
    };
    accepted.slot.leave_instance();
    watched.enter(ConnectionState::WithoutInstance);
    tracing::debug!(
        number = accepted.number,
        "connection continues without its instance"
    );
    let ended = background.run(Box::pin(rest), meter).await;
    background.note_end(meter);
    ended.map_err(|text| of_failure(Failure::Handler(text)))
}

/// Has an instance handle a connection: one that others have, too, or one of its own. Then the slot is held by the
/// guest's task, which may be in the background. Returns what is left for the host to do.
async fn with_instance(
    server: &Connections,
    instances: &Arc<Instances>,
    accepted: &Accepted,
    meter: &Arc<Meter>,
) -> Result<Option<Rest>, Failure> {
    let Accepted {
        number,
        port,
        endpoint,
        slot,
        ..
    } = accepted;
    let payer = || payer(server, endpoint);
    if instances.are_shared() {
        meter.set_instance(InstanceUse::Shared);
    }
    let shared = instances.share(endpoint, (*number, *port), payer);
    if let Some(result) = shared.await {
        return result;
    }
    let guest = Arc::clone(instances).serve(
        Arc::clone(slot),
        slot.kept_permit(),
        Arc::clone(endpoint),
        (*number, *port),
        Arc::clone(meter),
    );
    // What makes the state of an instance may panic, for example.
    let guest = AssertUnwindSafe(guest).catch_unwind();
    let background = instances.service().host().background();
    let handled = background.run(Box::pin(guest), meter).await;
    background.note_end(meter);
    handled.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
}

/// Counts and logs how a connection has ended.
async fn record(
    server: &Connections,
    accepted: &Accepted,
    end: &End,
    figures: &ConnectionEnd,
    meter: &Meter,
) {
    let Accepted {
        number,
        listener,
        endpoint,
        ..
    } = accepted;
    server.recorder.end(figures.cause);
    server.recorder.time(Timing::Duration, figures.duration);
    if let Some(first) = figures.first_byte {
        server.recorder.time(Timing::FirstByte, first);
    }
    end.prepare().await;
    end.log(*number, &Peer::of(endpoint), &server.log);
    if let Some(access_log) = server.access_log
        && figures.cause.kind() != Kind::Refused
    {
        access_log.log((*number, listener), endpoint, figures, &server.log);
    }
    tracing::debug!(
        number,
        cpu_time = ?meter.used(),
        moved_to_background = meter.moves(),
        "connection accounted for"
    );
}

/// Checks whether the peer may be served, and counts its connection if it may.
fn admit(
    server: &Connections,
    endpoint: &Endpoint,
    slot: &Arc<Slot>,
) -> Result<Option<PeerConnection>, End> {
    if !endpoint.has_peer_address() {
        return Ok(None);
    }
    let peer = endpoint.peer_address().ip();
    if !server.peers.allows(peer) {
        return Err(End::NotAllowed);
    }
    let limits = server.limits();
    if let Some(most) = limits.accept_rate_per_peer
        && !server.rates.permit(peer)
    {
        return Err(End::TooFastOfPeer(most));
    }
    match limits.max_connections_of(peer) {
        None => Ok(None),
        Some(most) => match server.per_peer.add(peer, most, slot) {
            None => Err(End::TooManyOfPeer(most)),
            counted => Ok(counted),
        },
    }
}

/// Resets a connection that has not ended regularly. Nothing that a guest drops ends the connection
/// before.
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

    /// Ends the connection according to its outcome, and waits until the peer has received what was sent.
    async fn linger(&mut self, end: &End) {
        match end {
            // The ingress has already sent a refused peer an alert, if possible.
            End::Done | End::Refused(_) => self.endpoint.finish().await,
            // What its program has done since is no matter of the peer.
            _ if self.endpoint.was_closed_by_guest() => self.endpoint.finish().await,
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
