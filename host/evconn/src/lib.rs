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

#![deny(missing_docs)]

mod acceptor;
mod bindings;
mod cache;
mod compose;
mod connection;
mod edge;
mod engine;
mod error;
mod grants;
pub mod guests;
mod host;
mod limits;
mod listener;
mod loading;
mod log;
mod networks;
mod privacy;
mod program;
mod server;
mod service;
mod shutdown;
mod source;
mod store;
mod trap;
mod workers;

pub use cache::CodeCache;
pub use compose::{Composer, Composition};
pub use connection::Connection;
pub use edge::{Edge, ProxyProtocol, TrustedProxies};
#[cfg(feature = "tls")]
pub use edge::{TlsConfig, TlsError};
pub use error::{Error, ErrorCode};
pub use evconn_sockets as sockets;
pub use grants::{DirAccess, GrantError, Grants, GrantsBuilder, InvalidListenGrant, ListenGrant};
pub use host::{Host, HostBuilder};
pub use limits::Limits;
pub use listener::{
    AcceptError, AcceptRate, Listener, ListenerBuilder, Recovery, State, Stats, StopReason,
};
pub use loading::{LoadError, LoadProblem, Missing};
pub use networks::InvalidNetwork;
pub use program::Program;
pub use server::{PeerFilter, Served, Server, ServerBuilder, ServerHandle, serve, serve_all};
pub use service::{Reuse, Service};
pub use shutdown::Shutdown;
pub use sockets::PeerCredentials;
pub use source::{ListenSource, Opened, SocketFile, SourceError, UnixSource};
pub use trap::GuestTrap;
