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

/// Compile a component for a supervisor
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
        worker::run_loader(parse)
    }
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
