//! The components that the build script made, embedded.

/// `listener.wasm`: the component through which every connection is accepted. It imports nothing
/// but `wasi:sockets`, `wasi:io`, `wasi:clocks` and the types of `evconn:tcp/connection`.
pub const LISTENER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/listener.wasm"));

/// `echo.wasm`: the example service that sends every byte back.
pub const ECHO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.wasm"));
