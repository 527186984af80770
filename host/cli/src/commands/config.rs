//! Configuration files: `evconn serve --config`, `evconn check` and `evconn config-schema`.

use super::Command;
use super::serve::Serve;
use crate::Cli;
use crate::args::AdminArgs;
use crate::config::{Configuration, Keys, Service, schema};
use crate::help::examples_of;
use crate::server::{Plan, ServeError};
use crate::supervisor::{self, Origin, Services};
use crate::sys::program::Program;
use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, Parser};
use evconn::Served;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The flag that names the file.
const FLAG: &str = "--config";

/// The subcommand of which a configuration has the flags.
const SERVE: &str = "serve";

/// Check a configuration file, without serving
///
/// Loads its components and certificates, and binds nothing. Prints the services that `evconn serve --config FILE.toml` would serve. Exit status: 0 if it can, 2 if not.
#[derive(Args)]
#[command(after_long_help = examples_of("check"))]
pub struct Check {
    /// Configuration to check
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
}

/// Print a JSON schema of configuration files
#[derive(Args)]
#[command(after_long_help = examples_of("config-schema"))]
pub struct ConfigSchema {}

impl Check {
    pub async fn run(self) -> anyhow::Result<()> {
        let own = ["evconn", SERVE].map(OsString::from);
        let checked = services_with(&self.file, &own, &[])?;
        let mut services = Vec::new();
        for plan in checked.plans {
            let name = plan.name.clone().unwrap_or_default();
            supervisor::check(plan)
                .await
                .with_context(|| format!("service `{name}`"))?;
            services.push(name);
        }
        let services = services.join(", ");
        println!("{}: OK: {services}", self.file.display());
        Ok(())
    }
}

impl ConfigSchema {
    pub fn run(&self) -> anyhow::Result<()> {
        let schema = serde_json::to_string_pretty(&schema(&keys()))?;
        writeln!(std::io::stdout(), "{schema}").context("cannot write to standard output")
    }
}

/// Serves the services of a configuration, which SIGHUP has read again. The flags of this process's command line count in
/// place of what it says.
pub async fn serve(path: &Path) -> Result<Vec<Served>, ServeError> {
    // Before the directory is another one.
    let program = Program::of_this_process();
    let file = std::path::absolute(path).map_err(|error| ServeError::Prepare(error.into()))?;
    let services = services(path).map_err(ServeError::Prepare)?;
    let read_again = Box::new(move || self::services(&file));
    supervisor::serve(services, Origin::of_configuration(program, read_again)).await
}

/// Returns what is served.
///
/// # Errors
/// What is wrong in the file, and where.
fn services(path: &Path) -> anyhow::Result<Services> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = Cli::command().try_get_matches_from(&arguments)?;
    let serve = matches.subcommand_matches(SERVE);
    let given = serve.map(flags_of).unwrap_or_default();
    services_with(path, &without_flag(arguments), &given)
}

fn services_with(path: &Path, own: &[OsString], given: &[String]) -> anyhow::Result<Services> {
    let configuration = Configuration::read(path, &keys())?;
    enter_directory(path)?;
    let services = configuration.services.iter();
    let plans = services.map(|service| plan(&configuration, service, own, given));
    let plans = plans.collect::<anyhow::Result<Vec<_>>>()?;
    // The flag, which all command lines have.
    let flag = plans.iter().find_map(|plan| plan.admin.source.clone());
    let admin = match flag {
        Some(source) => Some(source),
        None => configuration.admin(AdminArgs::parse_source)?,
    };
    Ok(Services { admin, plans })
}

/// Returns the plan of a service.
fn plan(
    configuration: &Configuration,
    service: &Service,
    own: &[OsString],
    given: &[String],
) -> anyhow::Result<Plan> {
    let mut own = own.to_vec();
    own.push(format!("--service-name={}", service.name).into());
    let arguments = service.command_line(&own, given);
    let cli = Cli::try_parse_from(&arguments);
    let cli = cli.map_err(|error| configuration.explain(service, &error))?;
    let Command::Serve(serve) = cli.command else {
        bail!("{FLAG} is a flag of `evconn {SERVE}`");
    };
    let plan = Serve::checked_plan(*serve);
    let mut plan = plan.map_err(|error| configuration.error(service, "", &error.to_string()))?;
    let checked = plan.server.check();
    checked.map_err(|why| configuration.error(service, "", &why))?;
    if plan.server.processes().is_none() {
        let message = "each service of a configuration has processes of its own: 1 at least";
        return Err(configuration.error(service, "processes", message));
    }
    if plan.component.is_standard_input() {
        let message = "the component of a configuration is a file, not standard input";
        return Err(configuration.error(service, "component", message));
    }
    plan.arguments = arguments;
    Ok(plan)
}

fn keys() -> Keys {
    Keys::of(&Serve::augment_args(clap::Command::new(SERVE)))
}

/// Paths in a configuration are relative to its directory.
fn enter_directory(path: &Path) -> anyhow::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => {
            let entered = std::env::set_current_dir(directory);
            entered.with_context(|| format!("cannot enter {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the names of the flags that a command line has.
fn flags_of(matches: &ArgMatches) -> Vec<String> {
    let command = Serve::augment_args(clap::Command::new(SERVE));
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let given = command
        .get_arguments()
        .filter(|arg| is_given(arg.get_id().as_str()));
    given
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect()
}

/// Returns a command line without `--config FILE`.
fn without_flag(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut others = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == FLAG {
            // Its value follows.
            arguments.next();
        } else if !text.starts_with("--config=") {
            others.push(argument);
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_left_out() {
        let arguments = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        for given in [
            &["evconn", "serve", "--config", "a.toml", "--reuse", "2"][..],
            &["evconn", "serve", "--reuse", "2", "--config=a.toml"],
        ] {
            let left = without_flag(arguments(given));
            assert_eq!(left, arguments(&["evconn", "serve", "--reuse", "2"]));
        }
    }

    #[test]
    fn each_flag_is_a_key() {
        let keys = keys();
        for name in ["component", "listen", "max-connections", "dir", "processes"] {
            assert!(keys.get(name).is_ok(), "{name}");
        }
        for name in ["config", "service-name", "help"] {
            assert!(keys.get(name).is_err(), "{name}");
        }
    }
}
