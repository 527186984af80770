//! evconn runs WebAssembly components as TCP servers: libevent's connection listener, for the
//! component model.
//!
//! A component, `listener.wasm`, accepts the connections ([`Listener`]). What is done about them is
//! a native closure's or async function's, or that of another component, a [`Service`], of which
//! each connection gets an instance of its own ([`serve`]).
//!
//! | you have | you call |
//! | --- | --- |
//! | closures or async functions | [`Listener::bind`], [`Listener::set_callback`], [`Listener::set_async_callback`] |
//! | a component that exports `evconn:tcp/handler` | [`Service::new`], [`Service::from_file`], [`serve`] |
//!
//! Both need a [`Host`], one for the program, and a tokio runtime with I/O and time.

#![deny(missing_docs, unsafe_code)]

mod address;
mod bindings;
mod compose;
mod connection;
mod error;
pub mod guests;
mod ingress;
mod interfaces;
mod limits;
mod listener;
mod log;
mod networks;
mod privacy;
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
pub use ingress::{TlsConfig, TlsError};
pub use interfaces::Missing;
pub use limits::Limits;
pub use listener::{
    AcceptError, AcceptRate, Listener, ListenerBuilder, Recovery, State, Stats, StopReason,
};
pub use networks::InvalidNetwork;
pub use runtime::{CodeCache, Host, HostBuilder};
pub use server::{PeerFilter, Served, Server, ServerBuilder, ServerHandle, serve, serve_all};
pub use service::{
    DirAccess, GrantError, Grants, GrantsBuilder, InvalidListenGrant, ListenGrant, Reuse, Service,
};
pub use shutdown::Shutdown;
pub use sockets::PeerCredentials;
pub use stderr::Stderr;
pub use trap::GuestTrap;
