//! The integration tests: real sockets, real components, real clients.
//!
//! Each module is a theme. They bind port 0 on a loopback address, wait for events with a deadline,
//! and run in parallel.
//!
//! What is in `listener/` drives `listener.wasm` itself, and what is in `sdk/` programs that it is
//! composed with: each is a test on the host's sockets (`own`), and on wasmtime-wasi's (`wasmtime`).

#![allow(
    clippy::duplicate_mod,
    reason = "the tests in `listener/` and `sdk/` are compiled for each implementation of the sockets"
)]

mod accept_rate;
#[cfg(target_os = "linux")]
mod admin;
mod architecture;
mod cli;
mod components;
mod composing;
#[cfg(target_os = "linux")]
mod config;
mod deferred;
mod descriptor_leak;
mod disable_in_thread;
mod document;
mod drain;
mod dual_stack;
mod echo;
mod elsewhere;
mod emfile;
mod ending;
mod examples;
mod grants;
mod greet;
mod handle;
mod help;
#[cfg(target_os = "linux")]
mod hostile;
mod hygiene;
mod instances;
mod isolation;
mod languages;
mod libevent;
#[cfg(target_os = "linux")]
mod listener_async;
mod loading;
mod metrics;
mod names;
#[cfg(target_os = "linux")]
mod native;
mod own;
mod parity;
#[cfg(target_os = "linux")]
mod processes;
mod proxy;
#[cfg(target_os = "linux")]
mod rates;
mod readme;
mod security;
mod serve;
mod served;
#[cfg(target_os = "linux")]
mod served_async;
mod server;
mod sockets;
mod sources;
mod support;
mod tcp_options;
#[cfg(feature = "tls")]
mod tls;
#[cfg(target_os = "linux")]
mod top;
mod traces;
mod wasmtime;
