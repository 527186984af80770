//! TCP servers as WebAssembly components: libevent's listener, event loop and buffered connections, with
//! closures.
//!
//! | libevent | this crate |
//! | --- | --- |
//! | `event_base` | [`EventBase`] |
//! | `evconnlistener` | [`Listener`] |
//! | the accepted socket | [`Connection`] |
//! | `event_new`, `event_add`, `event_del` | [`EventBase::watch`], [`Watch`] |
//! | `bufferevent` | [`BufferedConnection`] |
//! | `evbuffer` | [`Buffer`] |
//! | `evtimer_new` | [`EventBase::timer`], [`Timer`] |
//!
//! A component that uses [`Listener`] imports `evconn:tcp/listener`. `evconn compose` links this import to
//! `listener.wasm`; the result requires only WASI 0.2, and runs on any host that lets it bind a TCP socket. The
//! [guide] leads from the first program to a chat server.
//!
//! The targets are `wasm32-wasip2` and `wasm32-unknown-unknown`. The crate is single-threaded, and has no
//! `unsafe` code outside the generated bindings. On other targets it compiles, so that its documentation can
//! be tested, and every host call panics.
//!
//! Out of scope: what the listener does in each state, which `wit/SEMANTICS.md` defines. While a callback
//! runs, nothing of this crate is borrowed, so a callback may call any function.
//!
//! ```no_run
//! use evconn_guest::{BufferedConnection, Direction, EventBase, Listener};
//!
//! fn echo(_: Vec<String>) -> std::io::Result<()> {
//!     let base = EventBase::new();
//!     let _listener = Listener::builder()
//!         .on_connection(|listener, connection| {
//!             let connection = BufferedConnection::new(listener.base(), connection);
//!             connection.on_read(|connection: &BufferedConnection| {
//!                 connection.send(connection.take_input());
//!             });
//!             connection.enable(Direction::Both);
//!         })
//!         .bind(&base, ([0, 0, 0, 0], 9876))?;
//!     base.dispatch();
//!     Ok(())
//! }
//!
//! evconn_guest::command!(echo);
//! # fn main() {}
//! ```

#![deny(missing_docs)]

mod address;
mod base;
#[doc(hidden)]
pub mod bindings;
mod buffer;
mod buffered;
mod callback;
#[doc(hidden)]
pub mod component;
mod connection;
mod error;
pub mod guide;
mod listener;
#[cfg(feature = "p3")]
pub mod p3;
mod permit;
mod remains;
mod slab;
#[doc(hidden)]
pub mod stdio;
mod watch;

pub use base::{Ended, EventBase, Timer};
pub use buffer::Buffer;
pub use buffered::{BufferedConnection, Event};
pub use component::Outcome;
pub use connection::{Connection, Direction};
pub use error::SocketError;
pub use listener::{AcceptError, Builder, Listener, Recovery, State};
/// The `wasi` crate, whose socket types this crate uses.
pub use wasi;
/// The error code of a socket operation.
pub use wasi::sockets::network::ErrorCode;
pub use watch::{Ready, Watch};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
