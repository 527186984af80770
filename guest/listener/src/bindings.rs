//! Bindings of the world `provider`. The bindings of WASI are those of the `wasi` crate.

wit_bindgen::generate!({
    path: "../../wit",
    world: "evconn:tcp/provider",
    pub_export_macro: true,
    with: {
        "wasi:clocks/monotonic-clock@0.2.12": wasi::clocks::monotonic_clock,
        "wasi:io/error@0.2.12": wasi::io::error,
        "wasi:io/poll@0.2.12": wasi::io::poll,
        "wasi:io/streams@0.2.12": wasi::io::streams,
        "wasi:sockets/network@0.2.12": wasi::sockets::network,
        "wasi:sockets/tcp@0.2.12": wasi::sockets::tcp,
    },
});
