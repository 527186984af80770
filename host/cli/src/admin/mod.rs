//! The admin endpoint: HTTP requests of operators and of what watches a server, for all of its processes together.
//!
//! [`routes`] is the table of what there is; [`Command`] is what it takes from the server, which answers it where it
//! serves: [`supervisor`](crate::supervisor), or [`server`](crate::server) in one process. Where it ends: it knows
//! neither of them.

mod access;
mod command;
mod connections;
mod endpoint;
mod handlers;
mod metrics;
mod page;
mod parameters;
mod response;
mod routes;
mod status;

pub use command::{Command, Readiness, Reload, Reply, Reset, answer};
pub use connections::{List, Query};
pub use endpoint::Admin;
pub use status::{Service, Worker, WorkerState};
