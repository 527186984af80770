//! `evconn worker` and `evconn loader`, which a supervisor starts. They are not for users.

use crate::worker;
use crate::{Cli, log};
use anyhow::Context;
use clap::{Args, Parser};
use std::ffi::OsString;
use std::process::ExitCode;

/// Serve connections for a supervisor
#[derive(Args)]
#[command(hide = true)]
pub struct Worker {}

/// Load a component for another process
#[derive(Args)]
#[command(hide = true)]
pub struct Loader {}

impl Worker {
    pub fn run(&self) -> ExitCode {
        worker::run(parse)
    }
}

impl Loader {
    pub fn run(&self) -> ExitCode {
        worker::run_loader(work)
    }
}

/// Parses the command line of a process that has something loaded.
fn work(arguments: &[OsString]) -> anyhow::Result<(Box<dyn worker::Work>, log::Format)> {
    let cli = Cli::try_parse_from(arguments)?;
    let work = cli.command.into_work();
    Ok((
        work.context("the command line is not that of a command that loads a component")?,
        cli.log_format,
    ))
}

/// Parses the supervisor's command line.
fn parse(arguments: &[OsString]) -> anyhow::Result<(crate::server::Plan, log::Format)> {
    let cli = Cli::try_parse_from(arguments)?;
    let plan = cli.command.into_plan();
    Ok((
        plan.context("the supervisor's command line is not that of a server")?,
        cli.log_format,
    ))
}
