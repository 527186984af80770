//! Bindings for the worlds that the host runs: `provider` for the acceptor, `service` for the components that serve
//! connections, in both versions. WASI's bindings are wasmtime-wasi's, except those of TCP.
#![allow(
    missing_docs,
    reason = "generated; the WIT files hold the documentation"
)]

use crate::sockets::Endpoint;
use std::net::SocketAddr;
use std::sync::Weak;

/// The listener component, `listener.wasm`.
pub mod provider {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "evconn:tcp/provider",
        require_store_data_send: true,
        with: {
            "wasi:sockets/tcp": crate::sockets::p2::bindings::wasi::sockets::tcp,
            "wasi": wasmtime_wasi::p2::bindings,
        },
    });
}

/// A component that serves connections.
pub mod service {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "evconn:tcp/service",
        exports: { default: async },
        with: {
            "wasi:sockets/tcp": crate::sockets::p2::bindings::wasi::sockets::tcp,
            "wasi:sockets/ip-name-lookup": crate::sockets::p2::bindings::wasi::sockets::ip_name_lookup,
            "wasi:sockets/tcp-create-socket": crate::sockets::p2::bindings::wasi::sockets::tcp_create_socket,
            "wasi": wasmtime_wasi::p2::bindings,
        },
    });
}

/// A component that serves connections by asynchronous functions.
pub mod service_v0_3 {
    wasmtime::component::bindgen!({
        path: "wit/v0.3",
        world: "evconn:tcp/service",
        imports: { default: trappable },
        exports: { default: async | store },
        with: {
            "evconn:tcp/types.connection": super::ServedConnection,
            "wasi": wasmtime_wasi::p3::bindings,
        },
    });
}

/// A connection that is served, as a store's table has it: the resource `connection` of WASI 0.3.
pub struct ServedConnection {
    /// Its number in the log.
    pub number: u64,
    pub peer_address: SocketAddr,
    /// The connection itself, for as long as it lasts.
    pub endpoint: Weak<Endpoint>,
}
