//! The subcommands, a module for each.

mod compile;
mod compose;
mod echo;
mod run;
mod serve;
mod wit;

use crate::failure::Failure;
use crate::log::Writer;
use anyhow::Context;
use clap::Subcommand;
use std::process::ExitCode;
use tokio::runtime::Builder;

#[derive(Subcommand)]
pub enum Command {
    Serve(Box<serve::Serve>),
    Compile(compile::Compile),
    Run(Box<run::Run>),
    Compose(compose::Compose),
    Wit(wit::Wit),
    Echo(Box<echo::Echo>),
}

impl Command {
    /// How the command's log is written: a server must not wait for whoever reads it.
    pub fn log_writer(&self) -> Writer {
        match self {
            Self::Serve(_) | Self::Echo(_) => Writer::NonBlocking,
            Self::Compile(_) | Self::Run(_) | Self::Compose(_) | Self::Wit(_) => Writer::Blocking,
        }
    }

    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Serve(serve) => block_on(serve.run()),
            Self::Echo(echo) => block_on(echo.run()),
            Self::Run(run) => block_on(run.run()),
            Self::Compile(compile) => done(compile.run()),
            Self::Compose(compose) => done(compose.run()),
            Self::Wit(wit) => done(wit.run()),
        }
    }
}

fn done(result: anyhow::Result<()>) -> Result<ExitCode, Failure> {
    result.map_err(Failure::bad_input)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a command on this thread: a program is one instance, which one thread runs at a time, and a server
/// has threads of its own for its connections.
fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let result = runtime.block_on(command);
    // A blocking task may be reading a pipe that nobody writes to.
    runtime.shutdown_background();
    result
}
