//! The messages between a supervisor and the one that is to take its place, which may be of another version: fields
//! are only added, each with a default.

use super::message::Secret;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::time::Duration;

/// A message to the supervisor that is to take the place of this one.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToSuccessor {
    /// Listeners, whose sockets are the descriptors, in order.
    Listeners(Vec<LentListener>),
    /// The keys of session tickets of a service.
    Tickets(LentTickets),
    /// All was lent. Start the workers.
    Start,
    /// Its sockets belong to the new supervisor alone, with the files of those that it has taken.
    TakeOver,
}

/// A listener whose sockets are lent.
#[derive(Debug, Serialize, Deserialize)]
pub struct LentListener {
    /// The name of its service, if it is one of several.
    pub service: Option<String>,
    /// Whether it is that of the admin endpoint.
    #[serde(default)]
    pub is_admin: bool,
    /// Its source, as flags have it.
    pub source: String,
    /// Where it listens.
    pub name: String,
    /// The file of its Unix socket, if the server removes that at its end.
    pub file: Option<OsString>,
    /// For each of its sockets whether it was inherited from another program.
    pub inherited: Vec<bool>,
}

/// The keys of session tickets.
#[derive(Debug, Serialize, Deserialize)]
pub struct LentTickets {
    pub service: Option<String>,
    pub keys: Secret,
    /// For how long they have been in use.
    pub age: Duration,
}

/// A message from the supervisor that is to take the place of this one.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromSuccessor {
    /// Its workers accept connections. It has taken the listeners with these numbers, in the order in which they were
    /// lent.
    Ready(Vec<usize>),
    /// It could not start: the reason, in one line.
    Failed(String),
}
