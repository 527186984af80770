//! The flags for the processes of a server.

use super::compile::CompileArgs;
use clap::{Args, value_parser};
use std::num::NonZero;

/// Maximum number of worker processes. Machines have fewer cores.
const MAX_PROCESSES: i64 = 1024;

/// The flags for worker processes, and for the process that compiles the component, the loader.
#[derive(Args, Debug)]
#[command(next_help_heading = "Processes")]
pub struct ProcessArgs {
    /// Worker processes [default: one per core]
    ///
    /// Limits of connections are those of all processes together. A worker that dies is replaced. With 0, this
    /// process serves the connections itself, without a sandbox.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(0..=MAX_PROCESSES), allow_negative_numbers = true)]
    processes: Option<u16>,
    /// Let workers use files and system calls that serving does not require
    ///
    /// Without this flag, workers on Linux have no capabilities, no files but the granted directories (Landlock),
    /// and no system calls but those that serving requires (seccomp).
    #[arg(long)]
    no_sandbox: bool,
    #[command(flatten)]
    pub compile: CompileArgs,
}

impl ProcessArgs {
    /// Returns the number of worker processes, or `None` if this process serves itself.
    pub fn count(&self) -> Option<NonZero<u16>> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let most = u16::try_from(MAX_PROCESSES).unwrap_or(u16::MAX);
        let by_default = || u16::try_from(cores()).unwrap_or(most).min(most);
        match cfg!(unix) {
            true => NonZero::new(self.processes.unwrap_or_else(by_default)),
            false => None,
        }
    }

    pub fn has_sandbox(&self) -> bool {
        !self.no_sandbox
    }
}
