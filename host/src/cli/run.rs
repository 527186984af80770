//! `evconn run`: a command component, as a program.

use super::BAD_INPUT;
use super::code::CacheArgs;
use super::grants::GrantArgs;
use clap::Args;
use evconn::{Host, Limits, ListenGrant, Program};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a component that exports wasi:cli/run. If it imports evconn:tcp/listener, the listener is put in
/// first, as `evconn compose` does.
///
/// It has the standard streams of this command, and of the network just what is granted here. The exit
/// status is the program's, 134 if it traps, and 2 if it could not be run.
#[derive(Args)]
pub struct Run {
    /// The component, or its text (WAT).
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// Its arguments.
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<String>,
    /// Let the program listen here: 127.0.0.1:9876 or [::1]:9876 is an address, :9876 is that port of
    /// every interface, and with port 0 the port is whatever the system chooses. May be repeated.
    #[arg(long, value_name = "ADDRESS", help_heading = "Grants")]
    listen: Vec<ListenGrant>,
    #[command(flatten)]
    grants: GrantArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// The status of a process that was ended by SIGABRT, as a shell has it.
const TRAPPED: u8 = 134;

impl Run {
    /// Run it to its end.
    pub async fn run(&self) -> ExitCode {
        let program = match self.load() {
            Ok(program) => program,
            Err(error) => {
                eprintln!("evconn: {error:#}");
                return ExitCode::from(BAD_INPUT);
            }
        };
        match program.run().await {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                eprintln!("evconn: {}: {error}", self.app.display());
                ExitCode::from(TRAPPED)
            }
        }
    }

    fn load(&self) -> anyhow::Result<Program> {
        // Nothing is served: the room is for none but the program.
        let limits = Limits {
            max_connections: 1,
            ..Limits::default()
        };
        let host = Host::builder()
            .limits(&limits)
            .cache(self.cache.cache())
            .build()?;
        // By custom, the first argument is the program's name.
        let name = self.app.file_name().unwrap_or_default();
        let mut grants = self.grants.builder().arg(name.to_string_lossy());
        for argument in &self.arguments {
            grants = grants.arg(argument);
        }
        for place in &self.listen {
            grants = grants.listen(*place);
        }
        Ok(Program::from_file(&host, &self.app)?.with_grants(grants.build()?))
    }
}
