//! The flags for compiling, which is done in a process of its own.

use super::values::{bytes, some_seconds};
use clap::Args;
use std::time::Duration;

/// The limits of the process that reads, checks and compiles a component.
#[derive(Args, Debug)]
#[command(next_help_heading = "Code")]
pub struct CompileArgs {
    /// Maximum duration of compiling the component
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = some_seconds, allow_negative_numbers = true)]
    compile_timeout: Duration,
    /// Maximum memory for compiling the component, in bytes, or with K, M or G
    #[arg(long, value_name = "BYTES", default_value = "4G", value_parser = bytes, allow_negative_numbers = true)]
    compile_memory: usize,
}

impl CompileArgs {
    pub fn timeout(&self) -> Duration {
        self.compile_timeout
    }

    pub fn memory(&self) -> u64 {
        self.compile_memory as u64
    }
}
