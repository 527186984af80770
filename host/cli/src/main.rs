//! The command `evconn`: parse, and do it.

#[cfg(feature = "mimalloc")]
mod allocator;
mod cli;
mod machine;

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    cli::run(cli::parse())
}
