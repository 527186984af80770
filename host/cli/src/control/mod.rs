//! The control socket between the supervisor and the processes that it starts: a loader, or a worker.
//!
//! It is the standard input of the process. Messages go both ways, and can contain open descriptors.

mod channel;
mod frames;
mod message;

pub use channel::{Channel, Receiver, Sender};
pub use message::{
    FromLoader, FromWorker, Load, Loaded, Pem, Secret, Sockets, Start, StartFiles, ToWorker,
};
