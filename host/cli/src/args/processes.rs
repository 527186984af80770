//! The flags for the processes of a server.

use super::values::{bytes, some_seconds};
use clap::{Args, value_parser};
use std::num::NonZero;
use std::time::Duration;

/// Maximum number of worker processes. Machines have fewer cores.
const MAX_PROCESSES: i64 = 1024;

/// The flags for worker processes, and for the process that compiles the component.
#[derive(Args, Debug)]
#[command(next_help_heading = "Processes")]
pub struct ProcessArgs {
    /// Number of worker processes that serve connections [default: one per core]
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
    /// Maximum duration of compiling the component
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = some_seconds, allow_negative_numbers = true)]
    compile_timeout: Duration,
    /// Maximum memory for compiling the component, in bytes, or with K, M or G
    #[arg(long, value_name = "BYTES", default_value = "4G", value_parser = bytes, allow_negative_numbers = true)]
    compile_memory: usize,
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

    pub fn compile_timeout(&self) -> Duration {
        self.compile_timeout
    }

    pub fn compile_memory(&self) -> u64 {
        self.compile_memory as u64
    }
}
