//! `wasi:sockets/udp-create-socket`, for guests that are told apart by whether they may have UDP sockets.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use super::view::{TcpCtxView, TcpView};
use crate::policy::{
    Account, Charge, Counted, DatagramCharges, Denial, OnDenied, UdpGuest, UdpRules, UsedUp,
};
use std::pin::Pin;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::{IoError, Network, SocketError, SocketResult, UdpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};

impl UdpRules {
    /// Gives the rules to the sockets of one guest. `on_denied` is told of what it may not do.
    pub fn apply(&self, builder: &mut WasiCtxBuilder, on_denied: Arc<dyn OnDenied>) {
        if !self.allows_sockets() {
            return;
        }
        let guest = Arc::new(UdpGuest::new(self.clone(), on_denied));
        builder
            .allow_udp(true)
            .socket_addr_check(move |address, used_for| {
                let guest = Arc::clone(&guest);
                let allows = async move {
                    match used_for {
                        SocketAddrUse::UdpBind => guest.allows_bind(address),
                        SocketAddrUse::UdpSend => guest.allows_send(address).await,
                        SocketAddrUse::UdpReceive => guest.allows_receive(address).await,
                        // TCP sockets are not wasmtime-wasi's.
                        SocketAddrUse::TcpBind
                        | SocketAddrUse::TcpListen
                        | SocketAddrUse::TcpAccept
                        | SocketAddrUse::TcpConnect => false,
                    }
                };
                Pin::from(Box::new(allows))
            });
    }
}

/// The buffers of a socket, for a datagram that is received and one that is sent.
const BUFFERS: usize = 2 << 16;

/// What it takes to make a UDP socket.
struct Creator<'a> {
    sockets: WasiSocketsCtxView<'a>,
    account: Option<Account>,
    charges: DatagramCharges,
    /// Who is told, if there is to be none.
    denied: Option<Option<Arc<dyn OnDenied>>>,
}

struct Udp;

impl HasData for Udp {
    type Data<'a> = Creator<'a>;
}

fn creator<T: TcpView>(state: &mut T) -> Creator<'_> {
    let ctx = &*state.tcp().ctx;
    let denied = (!ctx.udp().allows_sockets()).then(|| ctx.on_denied().cloned());
    let account = ctx.account().cloned();
    let charges = ctx.datagram_charges().clone();
    let wasi = WasiView::ctx(state);
    let sockets = WasiSocketsCtxView {
        ctx: wasi.ctx.sockets(),
        table: wasi.table,
    };
    Creator {
        sockets,
        account,
        charges,
        denied,
    }
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
        let charged = self.account.as_ref().map(charge).transpose();
        let charged = charged.map_err(|_| ErrorCode::NewSocketLimit)?;
        let socket = udp_create_socket::Host::create_udp_socket(&mut self.sockets, family).await?;
        if let Some(charged) = charged {
            self.charges.insert(socket.rep(), charged);
        }
        Ok(socket)
    }
}

fn charge(account: &Account) -> Result<[Charge; 2], UsedUp> {
    let descriptor = account.charge(Counted::Descriptors, 1)?;
    Ok([descriptor, account.charge(Counted::Unsent, BUFFERS)?])
}

/// Has guests told apart who may have UDP sockets, and tell of those who may not. Has sockets charged.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    udp_create_socket::add_to_linker::<T, Udp>(linker, creator::<T>)?;
    linker.instance("wasi:sockets/udp@0.2.12")?.resource(
        "udp-socket",
        ResourceType::host::<UdpSocket>(),
        |mut store: StoreContextMut<'_, T>, index| {
            let TcpCtxView { ctx, table, .. } = store.data_mut().tcp();
            table.delete(Resource::<UdpSocket>::new_own(index))?;
            ctx.datagram_charges().remove(index);
            Ok(())
        },
    )
}
