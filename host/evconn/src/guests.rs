//! The embedded components, and the WIT packages for which they are built.

/// `listener.wasm`: the component that accepts every connection. It imports only `wasi:sockets`,
/// `wasi:io`, `wasi:clocks` and the types of `evconn:tcp/connection`.
pub const LISTENER: &[u8] = include_bytes!(env!("EVCONN_LISTENER_WASM"));

/// `async-listener.wasm`: the listener for programs of WASI 0.3. It imports only `wasi:sockets` and `wasi:clocks`.
pub const ASYNC_LISTENER: &[u8] = include_bytes!(env!("EVCONN_ASYNC_LISTENER_WASM"));

/// `echo.wasm`: the example service that sends every byte back.
pub const ECHO: &[u8] = include_bytes!(env!("EVCONN_ECHO_WASM"));

/// The WIT package `evconn:tcp` and, in `deps/`, the WASI packages that it needs: the path of each file
/// within the package's directory, and its content.
pub const WIT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wit.rs"));

/// The same of the package for WASI 0.3: `evconn:tcp@0.3.0`.
pub const WIT_0_3: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wit_0_3.rs"));
