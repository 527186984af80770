//! Services and programs of WASI 0.3: `async` functions, in the style of other asynchronous Rust.
//!
//! With the cargo feature `p3`. A [`Connection`] is an `AsyncRead`, an `AsyncBufRead` and an `AsyncWrite` of the crate
//! [futures-io](https://docs.rs/futures-io), so that what is written for these works, too. [`service!`](crate::p3_service!)
//! makes a component of a function:
//!
//! ```no_run
//! use evconn_guest::p3::Connection;
//! use futures::io::copy;
//!
//! async fn echo(connection: Connection) -> std::io::Result<()> {
//!     let (reader, mut writer) = connection.split();
//!     copy(reader, &mut writer).await?;
//!     Ok(())
//! }
//!
//! evconn_guest::p3_service!(echo);
//! # fn main() {}
//! ```
//!
//! There is no executor of its own: [`spawn`] runs something else in the same task of the component model, which
//! the host polls, and [`sleep`] waits. A connection is over when its function has returned, its [`Writer`] is dropped
//! or closed, and what was spawned has ended.
//!
//! [`TcpStream`] is a connection to another server, or one that a [`Listener`] has accepted: [`command!`](crate::p3_command!)
//! makes a component of a function that has a listener, a program. [`next`] passes a connection on, for a filter in front
//! of a service.
//!
//! Out of scope: what the streams and the future of a handler, and a listener, do, which `wit/SEMANTICS.md` defines.

mod address;
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod command;
mod connection;
mod error;
mod halves;
mod listener;
mod next;
mod reader;
#[doc(hidden)]
pub mod service;
mod stream;
mod time;
mod writer;

pub use bindings::evconn::tcp::types::TlsSession;
pub use bindings::wasi::sockets::types::ErrorCode;
pub use connection::Connection;
pub use listener::{AcceptError, Builder, Control, Listener, Recovery, State, Stats};
pub use next::next;
pub use reader::Reader;
pub use stream::TcpStream;
pub use time::sleep;
pub use writer::Writer;

/// Runs something beside what is running, in the same task: it ends with the task, and the task does not end before it.
///
/// It runs whenever the task waits, never in parallel.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    wit_bindgen_async::spawn_local(future);
}
