//! Bindings for the two worlds that the host runs: `provider` for the acceptor, `service` for the
//! components that serve connections. WASI's bindings are wasmtime-wasi's, except those of TCP.
#![allow(
    missing_docs,
    reason = "generated; the WIT files hold the documentation"
)]

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
