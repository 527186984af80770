//! The interfaces of WASI 0.2: they translate between the WIT and this crate's own types.

pub mod bindings;
mod clocks;
mod error;
mod handover;
mod input;
mod linker;
mod names;
mod output;
mod pollables;
mod socket_pollable;
mod streams;
mod table;
mod tcp;
mod transfer;
mod udp;

pub use crate::view::{TcpCtxView, TcpView};
pub use handover::{Handles, give, reset_all, revoke, take};
pub use linker::{add_granted_to_linker, add_to_linker};
pub use output::check_permit;
pub use pollables::{block, delete_pollable, poll, ready};
pub use table::{delete_streams, drop_input, drop_output};
