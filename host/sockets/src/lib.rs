//! `wasi:sockets` (TCP) and its streams for any wasmtime host, with rules of the host's own.
//!
//! The crate implements the interfaces `network`, `instance-network`, `tcp` and `tcp-create-socket` of WASI 0.2, and
//! the resource `tcp-socket` of WASI 0.3, over the operating system's sockets, as their WIT documents them. What these leave to the host is decided by
//! the host: [`Policy`] says which addresses a guest may use, [`TcpOptions`] how its sockets are set up.
//!
//! For a host of your own, implement [`TcpView`] for the store's data and call [`p2::add_to_linker`]:
//!
//! ```
//! use evconn_sockets::{Policy, TcpCtx, TcpCtxView, TcpView, p2};
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
//!         TcpCtxView { ctx: &mut self.tcp, table: &mut self.table, incoming: None }
//!     }
//! }
//!
//! let mut linker = Linker::<State>::new(&wasmtime::Engine::default());
//! p2::add_to_linker(&mut linker)?;
//! let tcp = TcpCtx::new(Policy::new(|address, _use| address.ip().is_loopback()));
//! # Ok::<(), wasmtime::Error>(())
//! ```
//!
//! For guests of WASI 0.3, the engine has the component model's async support, and the linker is another one. What of
//! a connection is dropped with the store counts as dropped by its guest: [`TcpCtxView::reset_all`] says otherwise.
//!
//! ```
//! use evconn_sockets::{TcpView, p3};
//! use wasmtime::component::{Component, Linker};
//! use wasmtime::{Config, Engine, Store};
//! use wasmtime_wasi::p3::bindings::Command;
//!
//! fn engine() -> wasmtime::Result<Engine> {
//!     let mut config = Config::new();
//!     config.wasm_component_model_async(true);
//!     Engine::new(&config)
//! }
//!
//! async fn run<T: TcpView + 'static>(program: &Component, mut store: Store<T>) -> wasmtime::Result<()> {
//!     let mut linker = Linker::<T>::new(store.engine());
//!     p3::add_to_linker(&mut linker)?;
//!     let command = Command::instantiate_async(&mut store, program, &linker).await?;
//!     let run = store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await);
//!     let ended = run.await.and_then(|ended| ended);
//!     if !matches!(ended, Ok(Ok(()))) {
//!         store.data_mut().tcp().reset_all();
//!     }
//!     ended?.map_err(|()| wasmtime::format_err!("the program failed"))
//! }
//! # engine()?;
//! # Ok::<(), wasmtime::Error>(())
//! ```
//!
//! The examples `host` and, for programs of WASI 0.3, `async_host` are whole programs. Calls run within a tokio
//! runtime with I/O and time.
//!
//! # Parts
//! | for | items |
//! | --- | --- |
//! | every host | [`p2`], [`p3`], [`TcpView`], [`TcpCtxView`], [`TcpCtx`], [`Policy`], [`TcpOptions`] |
//! | rules besides a policy | [`Destinations`], [`Place`], [`UdpRules`], [`OnDenied`], [`Resolver`] |
//! | what a guest may use | [`Account`], [`AccountLimits`], [`SharedDescriptors`] |
//! | sockets that the host opens | [`listen()`], [`refuse_connections`], [`TcpSocket::from_tcp_listener`], [`TcpSocket::from_unix_listener`] |
//! | guests that listen without a socket of the system | [`Incoming`], [`Awaits`] |
//! | how fast a connection may be | [`Endpoint::limit_rate`], [`Rate`], [`SharedRate`], [`Direction`] |
//! | connections that move between stores | [`p2::take`], [`p2::give`], [`Endpoint`], [`Plain`], [`Peer`] |
//!
//! Where it ends: UDP sockets, name look-up without [`p2::add_granted_to_linker`] or [`p3::add_granted_to_linker`], and
//! all the rest of WASI are wasmtime-wasi's.
//!
//! # Features
//! - `tls`: TLS sessions between a connection and its socket (`TlsSession`, `Wire`). Requires a C compiler.

#![deny(missing_docs, unsafe_code)]

mod connection;
mod error;
mod listen;
pub mod p2;
pub mod p3;
mod pace;
mod policy;
mod relay;
mod socket;
mod sys;
mod transport;
mod udp;
mod view;

pub use connection::{Endpoint, Peer};
pub use error::ErrorCode;
#[cfg(unix)]
pub use listen::refuse_connections;
pub use listen::{Awaits, Incoming};
pub use pace::{Direction, Rate, SharedRate};
pub use policy::{
    Account, AccountLimits, Charge, Counted, Denial, Destination, Destinations, InvalidDestination,
    IpAddressFamily, OnDenied, Place, PlaceHost, Policy, Protocol, Refusals, ResolveAddressStream,
    Resolver, SharedDescriptors, TcpCtx, UdpRules, Use, UsedUp, resolve_name, scope_of,
};
pub use socket::{TcpSocket, listen};
pub use sys::{KeepAlive, PeerCredentials, TcpOptions};
pub use transport::Plain;
#[cfg(feature = "tls")]
pub use transport::{TlsInfo, TlsSession, Wire};
pub use view::{TcpCtxView, TcpView};
