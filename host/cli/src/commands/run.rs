//! `evconn run`: a command component, as a program.

use super::BAD_INPUT;
use crate::args::{CacheArgs, GrantArgs, bytes, count};
use crate::files::{Input, is_stdin};
use crate::log;
use anyhow::Context;
use clap::Args;
use evconn::{Grants, Host, Limits, ListenGrant, Program};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;

/// Run a component that exports wasi:cli/run. If it imports evconn:tcp/listener, the listener is put in
/// first, as `evconn compose` does.
///
/// It has the standard streams of this command, and of the network just what is granted here: a program
/// that listens on port 9876 of every interface takes `--listen :9876`. It may always connect to a loopback
/// address that it listens on, and listen on a free port of 127.0.0.1 or ::1 for itself alone (asyncio of
/// Python takes that). What it was refused is logged, with the flag that grants it. The exit status is the
/// program's, 134 if it traps, and 2 if it could not be run. SIGINT, SIGTERM and SIGHUP end it; SIGUSR1 and
/// SIGUSR2 do nothing.
#[derive(Args)]
#[command(override_usage = "evconn run [OPTIONS] <APP.wasm> [ARGS]...")]
pub struct Run {
    /// The component, or its text (WAT), and its arguments: what comes after the component is the program's,
    /// also if it looks like an option of this command. With `-`, the component is read from standard input.
    #[arg(
        value_name = "APP.wasm [ARGS]",
        required = true,
        trailing_var_arg = true
    )]
    app: Vec<OsString>,
    /// Let the program listen here: :9876 is that port of every interface, be it as 0.0.0.0 or as [::],
    /// and 127.0.0.1:9876 or [::1]:9876 one address, and no more; localhost:9876 is both of these. With
    /// port 0, the system chooses the port, and the program may ask for no other. May be repeated.
    #[arg(long, value_name = "[IP]:PORT", help_heading = "Grants")]
    listen: Vec<ListenGrant>,
    /// How many connections the kernel may hold that the program has not yet accepted, whatever it asks
    /// for; the kernel has a limit of its own (net.core.somaxconn). What the program says, or 4096, if this
    /// is not given.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Limits")]
    backlog: Option<NonZeroU32>,
    /// The most memory that the program may have, in bytes, or with K, M or G. No limit if this is not
    /// given.
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true, help_heading = "Limits")]
    max_memory: Option<usize>,
    /// The most handles that the program may have at a time: sockets, streams, pollables, errors, open
    /// files. No limit if this is not given.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Limits")]
    max_handles: Option<NonZeroU32>,
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
                let backtrace = error.backtrace().unwrap_or_default();
                let backtrace: String = backtrace.lines().map(log::indented).collect();
                eprintln!("evconn: {}: {error}{backtrace}", self.name());
                ExitCode::from(TRAPPED)
            }
        }
    }

    fn path(&self) -> &Path {
        // There is one: the command line was refused otherwise.
        Path::new(self.app.first().map_or(OsStr::new(""), OsString::as_os_str))
    }

    fn load(&self) -> anyhow::Result<Program> {
        let grants = self.grants()?;
        // Nothing is served: the room is for none but the program.
        let limits = Limits {
            max_connections: 1,
            ..Limits::default()
        };
        let host = Host::builder()
            .limits(&limits)
            .cache(self.cache.cache())
            .build()?;
        let mut program = Input::open(self.path())?
            .load(
                |path| Program::from_file(&host, path),
                |bytes| Program::new(&host, bytes),
            )?
            .with_grants(grants);
        if let Some(bytes) = self.max_memory {
            program = program.with_max_memory(bytes);
        }
        if let Some(count) = self.max_handles {
            program = program.with_max_handles(count.get() as usize);
        }
        Ok(program)
    }

    /// What it is called where something is said of it.
    fn name(&self) -> Cow<'_, str> {
        match is_stdin(self.path()) {
            true => "standard input".into(),
            false => self.path().to_string_lossy(),
        }
    }

    fn grants(&self) -> anyhow::Result<Grants> {
        // By custom, the first argument is the program's name.
        let name = self.path().file_name().unwrap_or_default();
        let mut grants = self.grants.builder().arg(name.to_string_lossy());
        if let Some(count) = self.backlog {
            grants = grants.backlog(count);
        }
        for argument in self.app.iter().skip(1) {
            let text = argument.to_str();
            grants = grants.arg(text.with_context(|| {
                format!("the program's argument {argument:?} is not Unicode, as those of a component are")
            })?);
        }
        for place in &self.listen {
            grants = grants.listen(*place);
        }
        Ok(grants.build()?)
    }
}
