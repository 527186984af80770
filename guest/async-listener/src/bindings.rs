//! Bindings of the world `provider`, and of the clock.

wit_bindgen_async::generate!({
    inline: "
        package evconn:async-listener;
        world component {
            import wasi:clocks/monotonic-clock@0.3.0;
            include evconn:tcp/provider@0.3.0;
        }
    ",
    path: "../../wit/v0.3",
    runtime_path: "wit_bindgen_async::rt",
    world: "evconn:async-listener/component",
    pub_export_macro: true,
    generate_all,
});
