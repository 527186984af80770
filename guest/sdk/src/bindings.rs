//! Bindings of the listener, which is imported, and of the handler, which a service exports. The bindings of
//! WASI are those of the `wasi` crate.

/// The interface `evconn:tcp/listener`, imported.
pub(crate) mod imports {
    wit_bindgen::generate!({
        inline: "
            package evconn:guest-imports;
            world imports {
                import evconn:tcp/listener@0.1.0;
            }
        ",
        path: "wit",
        world: "evconn:guest-imports/imports",
        with: {
            "wasi:clocks/monotonic-clock@0.2.12": ::wasi::clocks::monotonic_clock,
            "wasi:io/error@0.2.12": ::wasi::io::error,
            "wasi:io/poll@0.2.12": ::wasi::io::poll,
            "wasi:io/streams@0.2.12": ::wasi::io::streams,
            "wasi:sockets/network@0.2.12": ::wasi::sockets::network,
            "wasi:sockets/tcp@0.2.12": ::wasi::sockets::tcp,
            "evconn:tcp/connection@0.1.0": generate,
            "evconn:tcp/listener@0.1.0": generate,
        },
    });
}

/// The interface `evconn:tcp/handler`, exported by [`service!`](crate::service!).
pub mod handler {
    wit_bindgen::generate!({
        inline: "
            package evconn:guest-handler;
            world handler {
                export evconn:tcp/handler@0.1.0;
            }
        ",
        path: "wit",
        world: "evconn:guest-handler/handler",
        pub_export_macro: true,
        export_macro_name: "export_handler",
        default_bindings_module: "evconn_guest::bindings::handler",
        with: {
            "wasi:clocks/monotonic-clock@0.2.12": ::wasi::clocks::monotonic_clock,
            "wasi:io/error@0.2.12": ::wasi::io::error,
            "wasi:io/poll@0.2.12": ::wasi::io::poll,
            "wasi:io/streams@0.2.12": ::wasi::io::streams,
            "wasi:sockets/network@0.2.12": ::wasi::sockets::network,
            "wasi:sockets/tcp@0.2.12": ::wasi::sockets::tcp,
            "evconn:tcp/connection@0.1.0": crate::bindings::imports::evconn::tcp::connection,
        },
    });
}
