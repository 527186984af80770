//! `wasi:sockets` for TCP, as a server needs it: the interfaces `network`, `instance-network`,
//! `tcp` and `tcp-create-socket` of WASI 0.2 over the operating system's sockets.
//!
//! What a guest sees is what the WIT documents say. What they leave to the host is decided by whoever
//! runs the guest: [`Policy`] says which addresses it may use, [`TcpOptions`] how sockets are set up.
//!
//! For a host of your own, implement [`TcpView`] for the store's data and call [`add_to_linker`]:
//!
//! ```
//! use evconn_sockets::{Policy, TcpCtx, TcpCtxView, TcpView};
//! use wasmtime::component::{Linker, ResourceTable};
//! use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
//!
//! struct State {
//!     wasi: WasiCtx,
//!     tcp: TcpCtx,
//!     table: ResourceTable,
//! }
//!
//! impl WasiView for State {
//!     fn ctx(&mut self) -> WasiCtxView<'_> {
//!         WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
//!     }
//! }
//!
//! impl TcpView for State {
//!     fn tcp(&mut self) -> TcpCtxView<'_> {
//!         TcpCtxView { ctx: &mut self.tcp, table: &mut self.table }
//!     }
//! }
//!
//! let mut linker = Linker::<State>::new(&wasmtime::Engine::default());
//! evconn_sockets::add_to_linker(&mut linker)?;
//! let tcp = TcpCtx::new(Policy::new(|address, _use| address.ip().is_loopback()));
//! # Ok::<(), wasmtime::Error>(())
//! ```
//!
//! Where it ends: UDP and all the rest of WASI are wasmtime-wasi's; so is name look-up, but for what a
//! [`Service`](crate::Service) or a [`Program`](crate::Program) is granted. Accepting in a loop, with backoff and the like, is
//! `listener.wasm`'s.

mod address;
pub mod bindings;
mod buffers;
mod closing;
mod credentials;
mod ctx;
mod denial;
mod destination;
mod destinations;
mod ending;
mod endpoint;
mod errors;
mod incoming;
mod input;
#[cfg(target_os = "linux")]
mod linux;
mod listener;
mod listening;
mod lookup;
mod names;
mod option;
mod output;
mod own;
mod peer;
mod place;
mod plain;
mod policy;
pub mod pollables;
mod readiness;
mod revoking;
pub mod round;
mod sending;
mod setup;
mod socket;
pub mod streams;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod turn;
mod udp;
mod uninit;
mod wit;

pub use credentials::PeerCredentials;
pub use ctx::TcpCtx;
pub use denial::{Denial, OnDenied};
pub use destination::{Destination, InvalidDestination};
pub use destinations::{Destinations, Protocol};
pub use endpoint::Endpoint;
pub use input::Input;
pub use names::ResolveAddressStream;
pub use output::{Output, check_permit};
pub use peer::Peer;
pub use place::{Place, PlaceHost, scope_of};
pub use plain::Plain;
pub use policy::{Policy, Refusals, Use};
pub use pollables::{delete_pollable, poll};
pub use revoking::{reset_all, revoke};
pub use setup::{KeepAlive, TcpOptions};
pub use socket::TcpSocket;
pub use streams::delete_streams;
#[cfg(feature = "tls")]
pub use tls::{TlsSession, Wire};
pub use udp::UdpRules;
pub use uninit::uninit;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::io;
use wasmtime_wasi::p2::bindings::sockets::{instance_network, network};

/// What the interfaces work on.
pub struct TcpCtxView<'a> {
    /// The rules for the store's sockets.
    pub ctx: &'a mut TcpCtx,
    /// Where the sockets and their streams are: the table of all of the store's WASI resources.
    pub table: &'a mut ResourceTable,
}

/// Gives access to a store's sockets. Implemented for the store's data.
pub trait TcpView: WasiView {
    /// The context and the table; the table is that of [`WasiView::ctx`].
    fn tcp(&mut self) -> TcpCtxView<'_>;
}

struct Tcp;

impl HasData for Tcp {
    type Data<'a> = TcpCtxView<'a>;
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Add all interfaces of WASI 0.2 to a linker: those of TCP from here, the others from
/// wasmtime-wasi. To be called on a linker that has none of them.
///
/// # Errors
/// If the linker has some of them already.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let options = network::LinkOptions::default();
    network::add_to_linker::<T, Tcp>(linker, &options, T::tcp)?;
    instance_network::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    bindings::wasi::sockets::tcp::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    bindings::wasi::sockets::tcp_create_socket::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    // The same as wasmtime-wasi's, but for what it takes to get at the table: a store may have no more
    // of WASI than this and what follows.
    io::error::add_to_linker::<T, Table>(linker, |state| state.tcp().table)?;
    pollables::add_to_linker(linker)?;
    streams::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Replace wasmtime-wasi's name look-up in a linker, so that names are resolved which are destinations,
/// and no others; and have it told that a guest wants UDP sockets and may have none.
pub fn add_granted_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    bindings::wasi::sockets::ip_name_lookup::add_to_linker::<T, Tcp>(linker, T::tcp)?;
    udp::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}
