//! Bindings of the handler of WASI 0.3, which a service exports, and of what this module imports.

wit_bindgen_async::generate!({
    inline: "
        package evconn:guest-p3;
        world service {
            import wasi:clocks/monotonic-clock@0.3.0;
            import wasi:sockets/types@0.3.0;
            import wasi:sockets/ip-name-lookup@0.3.0;
            export evconn:tcp/handler@0.3.0;
        }
    ",
    path: "wit/v0.3",
    runtime_path: "wit_bindgen_async::rt",
    world: "evconn:guest-p3/service",
    pub_export_macro: true,
    export_macro_name: "export_p3_handler",
    default_bindings_module: "evconn_guest::p3::bindings",
    generate_all,
});

/// Bindings of what a command exports and imports.
pub mod command {
    wit_bindgen_async::generate!({
        inline: "
            package evconn:guest-p3;
            world command {
                import wasi:cli/environment@0.3.0;
                import evconn:tcp/listener@0.3.0;
                export wasi:cli/run@0.3.0;
            }
        ",
        path: "wit/v0.3",
        runtime_path: "wit_bindgen_async::rt",
        world: "evconn:guest-p3/command",
        pub_export_macro: true,
        export_macro_name: "export_p3_run",
        default_bindings_module: "evconn_guest::p3::bindings::command",
        with: {
            "wasi:clocks/types@0.3.0": crate::p3::bindings::wasi::clocks::types,
            "wasi:sockets/types@0.3.0": crate::p3::bindings::wasi::sockets::types,
        },
        generate_all,
    });
}

/// What a filter calls. In a world of its own: a service that is no filter imports no handler.
pub mod next {
    wit_bindgen_async::generate!({
        inline: "
            package evconn:guest-p3-next;
            world next {
                import evconn:tcp/handler@0.3.0;
            }
        ",
        path: "wit/v0.3",
        runtime_path: "wit_bindgen_async::rt",
        world: "evconn:guest-p3-next/next",
        with: {
            "evconn:tcp/types@0.3.0": crate::p3::bindings::evconn::tcp::types,
            "wasi:sockets/types@0.3.0": crate::p3::bindings::wasi::sockets::types,
            "wasi:clocks/types@0.3.0": crate::p3::bindings::wasi::clocks::types,
        },
        generate_all,
    });
}
