//! The integration tests: real sockets, real components, real clients.
//!
//! Each module is a theme. They bind port 0 on a loopback address, wait for events with a deadline,
//! and run in parallel.

mod cli;
mod component;
mod deferred;
mod descriptor_leak;
mod disable_in_thread;
mod dual_stack;
mod echo;
mod emfile;
mod handle;
mod hygiene;
mod isolation;
mod libevent;
mod misuse;
mod model;
mod parity;
mod proxy;
mod readme;
mod semantics;
mod support;
#[cfg(feature = "tls")]
mod tls;
