//! The subcommands, a module for each.

mod compile;
mod completions;
mod compose;
#[cfg(unix)]
mod config;
mod echo;
mod man;
mod run;
mod serve;
mod top;
mod wit;
#[cfg(unix)]
mod worker;

use crate::failure::Failure;
use crate::log::Writer;
use crate::server::{Plan, ServeError};
use crate::sys::threads;
use anyhow::{Context, anyhow};
use clap::Subcommand;
use evconn::Served;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum Command {
    Serve(Box<serve::Serve>),
    Compile(compile::Compile),
    Run(Box<run::Run>),
    Compose(compose::Compose),
    Top(top::Top),
    Wit(wit::Wit),
    Echo(Box<echo::Echo>),
    Completions(completions::Completions),
    Man(man::Man),
    #[cfg(unix)]
    Check(config::Check),
    #[cfg(unix)]
    ConfigSchema(config::ConfigSchema),
    #[cfg(unix)]
    Loader(worker::Loader),
    #[cfg(unix)]
    Worker(worker::Worker),
}

impl Command {
    /// Returns how the command's log is written: a server must not wait for whoever reads it. `None`: the command
    /// starts the log itself, or has none.
    pub fn log_writer(&self) -> Option<Writer> {
        match self {
            Self::Serve(_) | Self::Echo(_) => Some(Writer::NonBlocking),
            Self::Compile(_) | Self::Run(_) | Self::Compose(_) => Some(Writer::Blocking),
            Self::Wit(_) | Self::Completions(_) | Self::Man(_) => Some(Writer::Blocking),
            #[cfg(unix)]
            Self::Check(_) | Self::ConfigSchema(_) => Some(Writer::Blocking),
            // Its terminal is for what it draws.
            Self::Top(_) => None,
            #[cfg(unix)]
            Self::Loader(_) | Self::Worker(_) => None,
        }
    }

    /// Returns the plan of a server.
    #[cfg(unix)]
    pub fn into_plan(self) -> Option<Plan> {
        match self {
            Self::Serve(serve) => serve.into_plan(),
            Self::Echo(echo) => echo.into_plan(),
            _ => None,
        }
    }

    /// Returns what its loader does.
    #[cfg(unix)]
    pub fn into_work(self) -> Option<Box<dyn crate::worker::Work>> {
        Some(match self {
            Self::Compile(compile) => Box::new(compile),
            Self::Run(run) => run,
            Self::Compose(compose) => Box::new(compose),
            server => Box::new(server.into_plan()?),
        })
    }

    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Serve(serve) => block_on(serve.run()),
            Self::Echo(echo) => block_on(echo.run()),
            Self::Run(run) => block_on(run.run()),
            Self::Compile(compile) => block_on(async { done(compile.run().await) }),
            Self::Compose(compose) => block_on(async { done(compose.run().await) }),
            Self::Top(top) => block_on(top.run()),
            Self::Wit(wit) => done(wit.run()),
            Self::Completions(completions) => done(completions.run()),
            Self::Man(man) => done(man.run()),
            #[cfg(unix)]
            Self::Check(check) => block_on(async { done(check.run().await) }),
            #[cfg(unix)]
            Self::ConfigSchema(schema) => done(schema.run()),
            #[cfg(unix)]
            Self::Loader(loader) => Ok(loader.run()),
            #[cfg(unix)]
            Self::Worker(worker) => Ok(worker.run()),
        }
    }
}

/// Serves one service until a signal stops it, with the number of processes that the flags set. Returns what it has
/// served, and nothing if a signal came before.
async fn serve(plan: Plan) -> Result<Vec<Served>, ServeError> {
    let checked = plan.server.check();
    checked.map_err(|why| ServeError::Prepare(anyhow!(why)))?;
    #[cfg(unix)]
    if plan.server.processes().is_some() {
        let services = crate::supervisor::Services {
            admin: plan.admin.source.clone(),
            plans: vec![plan],
        };
        return crate::supervisor::serve(services, crate::supervisor::Origin::of_flags()).await;
    }
    plan.serve().await.map(Vec::from_iter)
}

fn done(result: anyhow::Result<()>) -> Result<ExitCode, Failure> {
    result.map_err(Failure::bad_input)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a command on this thread: a program is one instance, which one thread runs at a time, and a server
/// has threads of its own for its connections.
fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = threads::event_loop()
        .context("cannot start the event loop")
        .map_err(Failure::bad_input)?;
    let result = runtime.block_on(command);
    // A blocking task may be reading a pipe that nobody writes to.
    runtime.shutdown_background();
    result
}
