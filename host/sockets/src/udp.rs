//! What it takes to make a UDP socket, for guests that are told apart by whether they may have UDP sockets.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use crate::error::ErrorCode;
use crate::policy::{
    Account, Charge, Counted, DatagramCharges, Denial, OnDenied, UdpGuest, UdpRules, UsedUp,
};
use crate::view::{TcpCtxView, TcpView};
use std::pin::Pin;
use std::sync::Arc;
use wasmtime::component::Resource;
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
pub struct UdpCreator<'a> {
    pub sockets: WasiSocketsCtxView<'a>,
    account: Option<Account>,
    charges: DatagramCharges,
    /// Who is told, if there is to be none.
    denied: Option<Option<Arc<dyn OnDenied>>>,
}

/// Returns what it takes to make a UDP socket in this store.
pub fn udp_creator<T: TcpView>(state: &mut T) -> UdpCreator<'_> {
    let ctx = &*state.tcp().ctx;
    let denied = (!ctx.udp().allows_sockets()).then(|| ctx.on_denied().cloned());
    let account = ctx.account().cloned();
    let charges = ctx.datagram_charges().clone();
    let wasi = WasiView::ctx(state);
    let sockets = WasiSocketsCtxView {
        ctx: wasi.ctx.sockets(),
        table: wasi.table,
    };
    UdpCreator {
        sockets,
        account,
        charges,
        denied,
    }
}

impl UdpCreator<'_> {
    /// Charges what a socket takes, if the guest may have one.
    pub fn allow(&self) -> Result<Option<[Charge; 2]>, ErrorCode> {
        if let Some(on_denied) = &self.denied {
            if let Some(on_denied) = on_denied {
                on_denied.denied(Denial::AnyUdpSocket);
            }
            return Err(ErrorCode::AccessDenied);
        }
        let charged = self.account.as_ref().map(charge).transpose();
        charged.map_err(|_| ErrorCode::NewSocketLimit)
    }

    /// Keeps what was charged until the socket is dropped.
    pub fn keep<S>(&self, socket: &Resource<S>, charged: Option<[Charge; 2]>) {
        if let Some(charged) = charged {
            self.charges.insert(socket.rep(), charged);
        }
    }
}

fn charge(account: &Account) -> Result<[Charge; 2], UsedUp> {
    let descriptor = account.charge(Counted::Descriptors, 1)?;
    Ok([descriptor, account.charge(Counted::Unsent, BUFFERS)?])
}

/// Drops a socket, which is in the table as an `S`: the resource's drop function.
pub fn drop_udp_socket<T: TcpView, S: 'static>(state: &mut T, index: u32) -> wasmtime::Result<()> {
    let TcpCtxView { ctx, table, .. } = state.tcp();
    table.delete(Resource::<S>::new_own(index))?;
    ctx.datagram_charges().remove(index);
    Ok(())
}
