//! Generated bindings of the interfaces `tcp`, `tcp-create-socket` and `ip-name-lookup`, to be named in
//! the `with` of other bindings.
#![allow(
    missing_docs,
    reason = "generated; the WIT files hold the documentation"
)]

wasmtime::component::bindgen!({
    inline: "
        package evconn:sockets;
        world host {
            import wasi:sockets/ip-name-lookup@0.2.12;
            import wasi:sockets/tcp@0.2.12;
            import wasi:sockets/tcp-create-socket@0.2.12;
        }
    ",
    path: "wit",
    world: "evconn:sockets/host",
    imports: { default: trappable },
    require_store_data_send: true,
    trappable_error_type: {
        "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError,
    },
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
        "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": crate::policy::ResolveAddressStream,
        "wasi:sockets/tcp.tcp-socket": crate::socket::TcpSocket,
    },
});
