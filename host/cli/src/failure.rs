//! Why a command has failed: what it prints, and its exit status.

use std::fmt::Display;
use std::process::ExitCode;

/// The exit status for bad input: the command could not start what it was asked for.
const BAD_INPUT: u8 = 2;

pub struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    pub fn new(message: impl Display, status: u8) -> Self {
        Self {
            message: message.to_string(),
            status,
        }
    }

    /// The command could not start: its input is wrong.
    pub fn bad_input(error: anyhow::Error) -> Self {
        Self::new(format_args!("evconn: {error:#}"), BAD_INPUT)
    }

    /// Prints the message to standard error and returns the exit status.
    pub fn report(&self) -> ExitCode {
        eprintln!("{}", self.message);
        ExitCode::from(self.status)
    }
}

/// The command started, and failed later.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(format_args!("evconn: {error:#}"), 1)
    }
}
