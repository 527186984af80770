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
mod error;
mod listen;
pub mod p2;
mod policy;
mod socket;
mod sys;
mod transport;

pub use connection::{Endpoint, Peer};
pub use error::ErrorCode;
pub use p2::{TcpCtxView, TcpView};
pub use policy::{
    Denial, Destination, Destinations, InvalidDestination, IpAddressFamily, OnDenied, Place,
    PlaceHost, Policy, Protocol, Refusals, ResolveAddressStream, TcpCtx, UdpRules, Use, scope_of,
};
pub use socket::TcpSocket;
pub use sys::{KeepAlive, PeerCredentials, TcpOptions};
pub use transport::Plain;
#[cfg(feature = "tls")]
pub use transport::{TlsSession, Wire};
