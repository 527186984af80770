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

mod connection;
mod listen;
mod p2;
mod policy;
mod socket;
mod sys;
mod transport;

pub use connection::endpoint::Endpoint;
pub use connection::input::Input;
pub use connection::output::{Output, check_permit};
pub use connection::peer::Peer;
pub use connection::round;
pub use p2::names::ResolveAddressStream;
pub use p2::pollables::{delete_pollable, poll};
pub use p2::revoking::{reset_all, revoke};
pub use p2::streams::delete_streams;
pub use p2::{TcpCtxView, TcpView, add_granted_to_linker, add_to_linker};
pub use p2::{bindings, pollables, streams};
pub use policy::ctx::TcpCtx;
pub use policy::denial::{Denial, OnDenied};
pub use policy::destination::{Destination, InvalidDestination};
pub use policy::destinations::{Destinations, Protocol};
pub use policy::place::{Place, PlaceHost, scope_of};
pub use policy::rule::{Policy, Refusals, Use};
pub use policy::udp::UdpRules;
pub use socket::tcp::TcpSocket;
pub use sys::credentials::PeerCredentials;
pub use sys::setup::{KeepAlive, TcpOptions};
pub use transport::plain::Plain;
#[cfg(feature = "tls")]
pub use transport::tls::{TlsSession, Wire};
pub use transport::uninit::uninit;
