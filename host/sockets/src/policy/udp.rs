//! UDP: which sockets a guest may have, and with whom it may exchange datagrams.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use crate::policy::destinations::{Destinations, Protocol, Verdict};
use crate::policy::place::Place;
use crate::{Denial, OnDenied, TcpView};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::{IoError, Network, SocketError, SocketResult, UdpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};

/// What a guest may do with datagrams. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct UdpRules {
    /// Whom it may send to, and receive from.
    pub destinations: Destinations,
    /// Where it may bind sockets, to receive from anyone, and to answer.
    pub places: Arc<[Place]>,
    /// Whether it may do anything.
    pub everything: bool,
}

impl UdpRules {
    /// Whether the guest may have UDP sockets at all.
    pub fn allows_sockets(&self) -> bool {
        self.everything || !self.places.is_empty() || self.destinations.has(Protocol::Udp)
    }

    /// Give the rules to the sockets of one guest. `on_denied` is told of what it may not do.
    pub fn apply(&self, builder: &mut WasiCtxBuilder, on_denied: Arc<dyn OnDenied>) {
        if !self.allows_sockets() {
            return;
        }
        let guest = Arc::new(Guest {
            rules: self.clone(),
            on_denied,
            peers: Mutex::default(),
        });
        builder
            .allow_udp(true)
            .socket_addr_check(move |address, used_for| {
                Pin::from(Box::new(Arc::clone(&guest).allows(address, used_for)))
            });
    }
}

/// One guest that has UDP sockets.
struct Guest {
    rules: UdpRules,
    on_denied: Arc<dyn OnDenied>,
    /// Who has sent to it and is no destination: it may answer.
    peers: Mutex<Peers>,
}

impl Guest {
    async fn allows(self: Arc<Self>, address: SocketAddr, used_for: SocketAddrUse) -> bool {
        if self.rules.everything {
            return true;
        }
        match used_for {
            SocketAddrUse::UdpBind => self.may_bind(address) || self.deny(Denial::UdpBind(address)),
            SocketAddrUse::UdpSend => {
                self.peers().contain(address)
                    || self.is_destination(address).await
                    || self.deny(Denial::UdpSend(address))
            }
            SocketAddrUse::UdpReceive => {
                self.is_destination(address).await || self.may_answer(address)
            }
            // Those sockets are not wasmtime-wasi's.
            SocketAddrUse::TcpBind
            | SocketAddrUse::TcpListen
            | SocketAddrUse::TcpAccept
            | SocketAddrUse::TcpConnect => false,
        }
    }

    /// Port 0 is any that is free: whoever sends has to have one.
    fn may_bind(&self, address: SocketAddr) -> bool {
        let allows = |place: &Place| place.allows_bind(address, None);
        address.port() == 0 || self.rules.places.iter().any(allows)
    }

    async fn is_destination(&self, address: SocketAddr) -> bool {
        match self.rules.destinations.check(Protocol::Udp, address) {
            Verdict::Allowed => true,
            Verdict::Refused => false,
            Verdict::Unknown(check) => {
                check.done().await;
                check.outcome() == Some(true)
            }
        }
    }

    /// Whether it may receive from anyone: if so, it may answer who has just sent to it.
    fn may_answer(&self, peer: SocketAddr) -> bool {
        let may = !self.rules.places.is_empty();
        if may {
            self.peers().add(peer);
        }
        may
    }

    fn deny(&self, denial: Denial<'_>) -> bool {
        self.on_denied.denied(denial);
        false
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        // Nothing in there panics halfway.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most peers that are remembered are twice as many: whoever sends may forge any address.
const PEERS: usize = 4096;

/// The latest who have sent.
#[derive(Default)]
struct Peers {
    latest: HashSet<SocketAddr>,
    earlier: HashSet<SocketAddr>,
}

impl Peers {
    fn add(&mut self, peer: SocketAddr) {
        if self.latest.len() >= PEERS {
            self.earlier = std::mem::take(&mut self.latest);
        }
        self.latest.insert(peer);
    }

    fn contain(&self, peer: SocketAddr) -> bool {
        self.latest.contains(&peer) || self.earlier.contains(&peer)
    }
}

/// What it takes to make a UDP socket.
struct Creator<'a> {
    sockets: WasiSocketsCtxView<'a>,
    /// Who is told, if there is to be none.
    denied: Option<Option<Arc<dyn OnDenied>>>,
}

struct Udp;

impl HasData for Udp {
    type Data<'a> = Creator<'a>;
}

fn creator<T: TcpView>(state: &mut T) -> Creator<'_> {
    let ctx = &*state.tcp().ctx;
    let denied = (!ctx.udp().allows_sockets()).then(|| ctx.on_denied.clone());
    let wasi = WasiView::ctx(state);
    let sockets = WasiSocketsCtxView {
        ctx: wasi.ctx.sockets(),
        table: wasi.table,
    };
    Creator { sockets, denied }
}

/// All that follows the one function is wasmtime-wasi's.
impl network::Host for Creator<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.sockets.convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets.network_error_code(error)
    }
}

impl network::HostNetwork for Creator<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl udp_create_socket::Host for Creator<'_> {
    async fn create_udp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        if let Some(on_denied) = &self.denied {
            if let Some(on_denied) = on_denied {
                on_denied.denied(Denial::AnyUdpSocket);
            }
            return Err(ErrorCode::AccessDenied.into());
        }
        udp_create_socket::Host::create_udp_socket(&mut self.sockets, family).await
    }
}

/// Have guests told apart who may have UDP sockets, and tell of those who may not.
pub(crate) fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    udp_create_socket::add_to_linker::<T, Udp>(linker, creator::<T>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_peers_are_remembered() {
        let peer = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut peers = Peers::default();
        for port in 0..3 * PEERS as u16 {
            peers.add(peer(port));
        }
        assert!(!peers.contain(peer(0)));
        assert!(peers.contain(peer(3 * PEERS as u16 - 1)) && peers.contain(peer(PEERS as u16)));
        assert!(peers.latest.len() <= PEERS && peers.earlier.len() <= PEERS);
    }
}
