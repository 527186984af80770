//! The command line. Each subcommand has a module of its own, and its work is the library's.

mod echo;
mod edge;
mod listen;
mod tcp;
mod values;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Run WebAssembly components as TCP servers.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Echo(echo::Echo),
}

/// Read the command line. Ends the process if it is wrong, or asks for help.
pub fn parse() -> Cli {
    Cli::parse()
}

/// Log to standard error: what `RUST_LOG` asks for (`debug`, or `evconn=debug`), or else from level
/// `info` on.
pub fn start_log() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(wanted_in_log())
        .init();
}

fn wanted_in_log() -> Targets {
    let default = Targets::new().with_default(LevelFilter::INFO);
    match std::env::var("RUST_LOG").as_deref() {
        Err(_) | Ok("") => default,
        Ok(text) => text.parse().unwrap_or_else(|error| {
            eprintln!("evconn: RUST_LOG is not used: {text:?} is no level such as debug: {error}");
            default
        }),
    }
}

/// Do what the command line says. Errors have been printed when this returns.
pub fn run(cli: Cli) -> ExitCode {
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| match cli.command {
            Command::Echo(echo) => runtime.block_on(echo.run()),
        });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("evconn: {error:#}");
            ExitCode::FAILURE
        }
    }
}
