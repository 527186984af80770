//! The interfaces of WASI 0.3: they translate between the WIT and this crate's own types.
//!
//! The WIT's types, its UDP sockets and everything besides `wasi:sockets` are wasmtime-wasi's.

mod awaits;
mod clocks;
mod connect;
mod counted;
mod ended;
mod error;
mod linker;
mod listen;
mod names;
mod options;
mod receive;
mod send;
mod tcp;
mod udp;

pub use crate::relay::{
    Broken, Ended, Ending, Live, Moving, Received, Receiver, Relays, or_cancelled,
};
pub use crate::view::{TcpCtxView, TcpView};
pub use ended::{ending_of, future_of};
pub use linker::{add_granted_to_linker, add_to_linker};
