//! The command `evconn`: parses the command line, starts the log and calls the library.

#![deny(unsafe_code)]
#![cfg_attr(
    not(unix),
    allow(
        dead_code,
        unused_imports,
        reason = "there is no supervisor: one process serves, and some of what both have in common is not used"
    )
)]

mod admin;
mod args;
mod commands;
#[cfg(unix)]
mod config;
#[cfg(unix)]
mod control;
mod failure;
mod files;
mod help;
#[cfg(unix)]
mod loading;
mod log;
mod machine;
mod server;
#[cfg(unix)]
mod supervisor;
mod sys;
mod top;
mod traces;
#[cfg(unix)]
mod worker;

use clap::{CommandFactory, FromArgMatches, Parser};
use commands::Command;
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
use mimalloc::MiMalloc as Allocator;
#[cfg(not(feature = "mimalloc"))]
use std::alloc::System as Allocator;

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: sys::allocator::Watched<Allocator> = sys::allocator::Watched(Allocator);

#[cfg(not(unix))]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Run WebAssembly components as TCP servers
#[derive(Parser)]
#[command(name = "evconn", version, propagate_version = true)]
struct Cli {
    /// Format of the log on standard error: text, or one JSON object per line
    ///
    /// The environment variable RUST_LOG sets the level: `debug`, or `evconn=debug` for one crate. It
    /// defaults to `info`.
    #[arg(long, global = true, value_enum, default_value_t = log::Format::Human, value_name = "FORMAT")]
    log_format: log::Format,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // SAFETY: the command has opened nothing yet, and whatever it opens later is close-on-exec.
    #[allow(unsafe_code, reason = "sockets are inherited as numbers")]
    unsafe {
        evconn::claim_inherited_descriptors();
    }
    let cli = parse();
    if let Some(writer) = cli.command.log_writer() {
        log::start(cli.log_format, writer);
    }
    let result = cli.command.run();
    log::flush();
    result.unwrap_or_else(|failure: Failure| failure.report())
}

/// Parses the command line. Prints the help if it asks for that, and what is wrong with it, and exits.
fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = match help::is_short(&arguments) {
        true => help::shortened(Cli::command()),
        false => Cli::command(),
    };
    let matches = command
        .try_get_matches_from_mut(&arguments)
        .unwrap_or_else(|error| help::with_tip(error, &command, &arguments).exit());
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}
