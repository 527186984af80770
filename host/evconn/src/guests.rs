//! The components that the build script made, and the contract that they are built for, embedded.

/// `listener.wasm`: the component through which every connection is accepted. It imports nothing
/// but `wasi:sockets`, `wasi:io`, `wasi:clocks` and the types of `evconn:tcp/connection`.
pub const LISTENER: &[u8] = include_bytes!(env!("EVCONN_LISTENER_WASM"));

/// `echo.wasm`: the example service that sends every byte back.
pub const ECHO: &[u8] = include_bytes!(env!("EVCONN_ECHO_WASM"));

/// The WIT package `evconn:tcp` and, in `deps/`, those of WASI that it needs: the path of each file below
/// the package's directory, and its text.
pub const WIT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wit.rs"));
