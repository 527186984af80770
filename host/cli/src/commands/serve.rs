//! `evconn serve`: serves a component that exports `evconn:tcp/handler`, or a program that listens by itself.

use crate::args::{AdminArgs, CacheArgs, IngressArgs, ListenArgs, ServerArgs};
use crate::failure::Failure;
use crate::help::examples_of;
use crate::server::{Component, Plan, ServeError};
use anyhow::Context;
use clap::{Args, ValueEnum};
use evconn::{EntryPoint, Served};
use std::path::PathBuf;
use std::process::ExitCode;

/// Serve a component as a TCP server: an instance for each connection
///
/// The component exports a handler (evconn:tcp/handler), or is a program that listens and accepts by itself
/// (wasi:cli/run). A program runs unchanged, once for each connection: whatever address it listens on, it accepts
/// that connection. --listen says where peers connect.
///
/// --reuse, --concurrency and --instances let connections share instances. With `--instances 1 --concurrency 1000`,
/// up to 1000 meet in one instance, as in a chat server. `evconn run` runs a program as it is, without the listen
/// sources, TLS, limits, timeouts and reloads of this command.
///
/// --through puts filters in front of a component with a handler: each connection passes them before it gets there.
///
/// An instance can use its connection, clocks and random numbers, and nothing else unless a flag grants it.
///
/// --config serves several services, each with workers, listen sources, limits and grants of its own.
///
/// SIGTERM or Ctrl-C stops accepting and lets open connections finish; a second one resets them. SIGHUP
/// reads the component, its filters and the certificate again, and starts new workers with them; open connections
/// finish on the old ones. SIGUSR2 starts the evconn that is at the path of this one, hands the listening sockets over
/// to it, and finishes the open connections: an upgrade without a gap. SIGUSR1 is ignored.
///
/// Exit status: 0 if every connection could finish, 1 if the shutdown reset some or the server failed, 2 if
/// the server could not start.
#[derive(Args)]
#[command(after_long_help = examples_of("serve"))]
// Not `mut_arg`, which would move it to the end of the help.
#[command(mut_args(|arg| match arg.get_id() == "sources" {
    true => arg.required_unless_present("config"),
    false => arg,
}))]
pub struct Serve {
    /// Component to serve: a binary or its text (WAT)
    ///
    /// With --allow-precompiled also the output of `evconn compile`. `-` reads standard input, once: SIGHUP
    /// does not read it again.
    #[arg(value_name = "APP.wasm", required_unless_present = "config")]
    app: Option<PathBuf>,
    #[command(flatten)]
    listen: ListenArgs,
    /// Serve the services of a configuration file, each in worker processes of its own
    ///
    /// Its keys are the names of these flags. A flag beside it counts for all services, in place of what the file says.
    /// `evconn check FILE` checks a file, and `evconn config-schema` prints a JSON schema for editors.
    #[arg(
        long,
        value_name = "FILE.toml",
        conflicts_with = "app",
        help_heading = "Listening"
    )]
    config: Option<PathBuf>,
    /// Name of the service, if it is one of several
    #[arg(long, hide = true)]
    service_name: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
    /// Put this component in front of the one that is served
    ///
    /// It is a filter: it imports a handler (evconn:tcp/handler) and exports one of the same version, which is that of
    /// APP. Both are composed, and share the limits and grants of an instance. May be repeated: a connection passes
    /// the first one first, and the last one is next to APP.
    #[arg(long, value_name = "FILTER.wasm", help_heading = "Code")]
    through: Vec<PathBuf>,
    /// Entry point of a component that has both [default: handler]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Code")]
    entry_point: Option<EntryPointArg>,
    /// Accept compiled code as APP
    ///
    /// Compiled code is not checked, and can do all that this process may do: it must be the output of
    /// `evconn compile`. A file that users other than root and you own or can write to is refused.
    #[arg(long, help_heading = "Code")]
    allow_precompiled: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ingress: IngressArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is called for a connection.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EntryPointArg {
    /// The function `handle` of evconn:tcp/handler
    Handler,
    /// The function `run` of wasi:cli/run
    Run,
}

impl From<EntryPointArg> for EntryPoint {
    fn from(arg: EntryPointArg) -> Self {
        match arg {
            EntryPointArg::Handler => Self::Handler,
            EntryPointArg::Run => Self::Run,
        }
    }
}

impl Serve {
    /// Serves until a signal stops it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let serving = match self.config.clone() {
            #[cfg(unix)]
            Some(path) => super::config::serve(&path).await,
            #[cfg(not(unix))]
            Some(_) => Err(ServeError::Prepare(anyhow::anyhow!(
                "--config is supported on Unix: give the flags of one service"
            ))),
            None => match self.checked_plan() {
                Ok(plan) => super::serve(plan).await,
                Err(error) => Err(ServeError::Prepare(error)),
            },
        };
        let served = serving.map_err(|error| match error {
            ServeError::Prepare(error) => Failure::bad_input(error),
            ServeError::Listen(error) => Failure::bad_input(error.into()),
            ServeError::Run(error) => error.into(),
        })?;
        Ok(match served.iter().all(Served::is_clean) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    /// Refuses flags that contradict each other.
    pub fn checked_plan(self) -> anyhow::Result<Plan> {
        let runs = matches!(self.entry_point, Some(EntryPointArg::Run));
        anyhow::ensure!(
            self.through.is_empty() || !runs,
            "--through puts filters in front of a handler, and --entry-point run calls none: use one of these flags"
        );
        self.into_plan().context("there is no component to serve")
    }

    /// Returns nothing if the command line names a configuration.
    pub fn into_plan(self) -> Option<Plan> {
        Some(Plan {
            name: self.service_name,
            arguments: std::env::args_os().collect(),
            component: Component::Named {
                path: self.app?,
                allow_precompiled: self.allow_precompiled,
                through: self.through,
            },
            entry_point: self.entry_point.map(EntryPoint::from),
            listen: self.listen,
            admin: self.admin,
            cache: self.cache,
            ingress: self.ingress,
            server: self.server,
        })
    }
}
