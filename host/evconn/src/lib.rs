//! evconn runs WebAssembly components as TCP servers. It is libevent's connection listener for the
//! component model, on top of wasmtime and tokio.
//!
//! Connections are accepted by a component, `listener.wasm`, which may use the listener's own addresses and
//! nothing else. Each connection is then served by an instance of your component, in a store of its own: a
//! trap or an exceeded limit ends that connection and affects no other. Connections can also be passed to
//! native closures or async functions.
//!
//! | you have | you call |
//! | --- | --- |
//! | a component that exports `evconn:tcp/handler`, or a program that listens by itself (a [`Service`]) | [`Service::from_file`], [`Server::builder`] or [`serve`] |
//! | a component that imports interfaces which you implement | [`Service::builder`] |
//! | closures or async functions | [`Listener::bind`], [`Listener::set_callback`], [`Listener::set_async_callback`] |
//! | a program, to have all of its connections in one instance (a [`Program`]) | [`Program::from_file`], [`Program::run`] |
//! | a component that imports `evconn:tcp/listener`, to be run elsewhere | [`Composer::compose_file`] |
//! | a wasmtime host that needs `wasi:sockets` only | the crate `evconn-sockets`, re-exported as [`sockets`] |
//!
//! All but the last two need a [`Host`], of which a process has one: it holds the wasmtime engines, the pool
//! of instances and the worker threads. Listening and serving also need a tokio runtime with I/O and time.
//!
//! # Example
//! A server that echoes what it receives. Ctrl-C shuts it down: open connections then have 10 seconds to
//! finish.
//!
//! ```no_run
//! use evconn::{Grants, Host, Limits, Server, Service, Shutdown, guests};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let host = Host::new()?;
//!     // Or Service::from_file(&host, "service.wasm")?
//!     let service = Service::new(&host, guests::ECHO)?
//!         .with_grants(Grants::builder().env("LANG", "C.UTF-8").build()?);
//!     let limits = Limits {
//!         max_memory: 16 << 20,
//!         ..Limits::default()
//!     };
//!     let server = Server::builder(&service)
//!         .listen("127.0.0.1:9876".parse()?)
//!         .limits(limits)
//!         .bind()
//!         .await?;
//!     println!("Listening on {}", server.listeners()[0].name());
//!     println!("{}", server.run(Shutdown::on_signals()?).await?);
//!     Ok(())
//! }
//! ```
//!
//! What happens to a connection is logged with [`tracing`](https://docs.rs/tracing): install a subscriber
//! to see it.
//!
//! # Features
//! - `metrics` (enabled by default): `Metrics`, which renders what is counted.
//! - `tls` (enabled by default): TLS for listeners, with `TlsConfig`. Building it requires a C compiler.
//!
//! # Platforms
//! Linux is the platform that is optimized and tested. On macOS and Windows the crate builds and the portable
//! parts work; Unix sockets and inherited sockets require Unix, abstract socket names and the names of
//! interfaces in addresses require Linux.

#![deny(missing_docs, unsafe_code)]

mod address;
mod bindings;
mod compose;
mod connection;
mod error;
mod files;
pub mod guests;
mod ingress;
mod interfaces;
mod limits;
mod link;
mod listener;
mod log;
mod metrics;
mod networks;
mod open_file;
mod privacy;
#[cfg(unix)]
mod quota;
mod runtime;
#[cfg(all(test, unix))]
mod scratch;
mod server;
mod service;
mod shutdown;
mod stderr;
mod store;
mod trap;

pub use address::{
    ListenSource, Opened, SocketFile, SourceError, UnixSource, claim_inherited_descriptors,
};
pub use compose::{Composer, Composition, Program};
pub use connection::Connection;
pub use error::{Error, ErrorCode, LoadError, LoadProblem};
pub use evconn_sockets as sockets;
pub use ingress::{Ingress, ProxyProtocol, TrustedProxies};
#[cfg(feature = "tls")]
pub use ingress::{PemSource, TicketKeys, TlsConfig, TlsError};
pub use interfaces::{EntryPoint, Missing, WasiVersion};
pub use limits::Limits;
pub use listener::{
    AcceptError, AcceptRate, Listener, ListenerBuilder, Listening, Recovery, State, Stats,
    StopReason,
};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use metrics::{EndCause, Served};
pub use networks::InvalidNetwork;
#[cfg(unix)]
pub use quota::{Member, Quota};
pub use runtime::{CodeCache, CpuShare, Host, HostBuilder, InstanceUse, reserve_descriptors};
pub use server::{
    ConnectionEnd, ConnectionInfo, ConnectionPhases, ConnectionState, ConnectionStatus, PeerFilter,
    Server, ServerBuilder, ServerHandle, serve, serve_all,
};
pub use service::{
    DirAccess, GrantError, Grants, GrantsBuilder, InstancePolicy, InstanceState,
    InvalidListenGrant, ListenGrant, Service, ServiceBuilder,
};
pub use shutdown::Shutdown;
pub use sockets::{Peer, PeerCredentials};
pub use stderr::Stderr;
pub use trap::GuestTrap;
/// The version of wasmtime that evconn uses, for [`ServiceBuilder::link`].
pub use wasmtime;
