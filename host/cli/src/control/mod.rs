//! The control socket between a process and those that it starts: a loader, the workers of a supervisor, or the
//! supervisor that is to take its place.
//!
//! It is the standard input of the process. Messages go both ways, and can contain open descriptors.

mod channel;
mod frames;
mod message;
pub mod process;
mod upgrade;

pub use channel::{Channel, Receiver, Sender};
pub use message::{
    AboutSocket, Answer, FromLoader, FromWorker, Load, Loaded, Pem, Question, Secret, Sockets,
    Start, StartFiles, Target, ToWorker,
};
pub use upgrade::{FromSuccessor, LentListener, LentTickets, ToSuccessor};
