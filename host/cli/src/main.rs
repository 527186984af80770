//! The command `evconn`: parse, and do it.

#[cfg(feature = "mimalloc")]
mod allocator;
mod args;
mod commands;
mod files;
mod log;
mod machine;
mod server;
mod sys;

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    commands::run(commands::parse())
}
