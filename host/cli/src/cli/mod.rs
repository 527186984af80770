//! The command line. Each subcommand has a module of its own, and its work is the library's.

mod code;
mod compile;
mod compose;
mod echo;
mod grants;
mod habits;
mod ingress;
mod input;
mod limits;
mod listen;
mod log;
mod output;
mod reload;
mod room;
mod run;
mod serve;
mod signals;
#[cfg_attr(not(unix), path = "no_systemd.rs")]
mod systemd;
mod tcp;
mod values;
mod wit;

use clap::{Parser, Subcommand};
use signals::Signals;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Run WebAssembly components as TCP servers.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    /// How the log, on standard error, is written: as text, or as one JSON object a line. What is in
    /// it is up to RUST_LOG: `debug`, or `evconn=debug`; if that is not set, it is `info`.
    #[arg(long, global = true, value_enum, default_value_t = log::Format::Human, value_name = "FORMAT")]
    log_format: log::Format,
    #[command(subcommand)]
    command: Command,
}

/// The exit status for bad input, found before anything was served.
const BAD_INPUT: u8 = 2;

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Compile(compile::Compile),
    Run(Box<run::Run>),
    Compose(compose::Compose),
    Wit(wit::Wit),
    Echo(Box<echo::Echo>),
}

/// Read the command line. Ends the process if it is wrong, or asks for help.
pub fn parse() -> Cli {
    Cli::parse()
}

/// Do what the command line says. Errors have been printed when this returns.
pub fn run(cli: Cli) -> ExitCode {
    let result = execute(cli);
    log::flush();
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("evconn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let format = cli.log_format;
    let log = |way| log::start(format, way);
    match cli.command {
        Command::Compile(compile) => {
            log(log::Way::AtOnce)?;
            Ok(compile.run())
        }
        Command::Compose(compose) => {
            log(log::Way::AtOnce)?;
            Ok(compose.run())
        }
        Command::Wit(wit) => {
            log(log::Way::AtOnce)?;
            Ok(wit.run())
        }
        Command::Run(run) => block_on(async {
            signals::ignore_users()?;
            log(log::Way::AtOnce)?;
            Ok(run.run().await)
        }),
        Command::Serve(serve) => block_on(async {
            let signals = Signals::watch()?;
            log(log::Way::ByThread)?;
            serve.run(signals).await
        }),
        Command::Echo(echo) => block_on(async {
            let signals = Signals::watch()?;
            log(log::Way::ByThread)?;
            echo.run(signals).await
        }),
    }
}

/// On this thread: a program is one instance, which is never in two places at a time, and the connections
/// of a server are served by threads of their own.
fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // Somebody may be reading a file that does not come. Nobody waits for it.
    runtime.shutdown_background();
    result
}
