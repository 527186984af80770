//! `evconn run`: runs a program, a component that exports `wasi:cli/run`.

use crate::args::{CacheArgs, CompileArgs, GrantArgs, bytes, count};
#[cfg(unix)]
use crate::control::FromLoader;
use crate::failure::Failure;
use crate::files::{Input, is_stdin};
use crate::help::examples_of;
#[cfg(unix)]
use crate::loading::{Compiled, Request};
use crate::log;
use crate::sys::signals;
#[cfg(unix)]
use crate::worker::{Kind, Order, Work, compiled};
use anyhow::Context;
use clap::{Args, ValueHint};
use evconn::{Error, Grants, Host, HostBuilder, Limits, ListenGrant, Program};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

/// Run a program: a component that exports wasi:cli/run
///
/// The component is of WASI 0.2 or 0.3. If it imports evconn:tcp/listener, the listener is linked in first, as
/// `evconn compose` does.
///
/// The program has one instance with a loop of its own, and this command ends when it ends. To have a program's
/// connections meet in one instance and use what a server has, take `evconn serve --instances 1 --concurrency N`: TLS,
/// the PROXY protocol, Unix and inherited sockets, timeouts, a grace period, filters of peers, reloads.
///
/// The program has the standard streams of this command. Its network access is what the flags grant: a
/// program that listens on port 9876 of every interface requires `--listen :9876`. It may always connect to
/// a loopback address that it listens on, and listen on a free port of 127.0.0.1 or ::1 for itself alone
/// (Python's asyncio requires that). A denied call is logged with the flag that grants it.
///
/// SIGINT, SIGTERM and SIGHUP end the program. SIGUSR1 and SIGUSR2 are ignored.
///
/// Exit status: the program's, 134 if it traps, 2 if it could not start.
#[derive(Args)]
#[command(after_long_help = examples_of("run"))]
#[command(override_usage = "evconn run [OPTIONS] <APP.wasm> [ARGS]...")]
pub struct Run {
    /// Component, or its text (WAT), and its arguments; `-` is standard input
    ///
    /// All that follows the component is passed to the program, also what looks like a flag of this command.
    #[arg(
        value_name = "APP.wasm [ARGS]",
        value_hint = ValueHint::FilePath,
        required = true,
        trailing_var_arg = true
    )]
    app: Vec<OsString>,
    /// Let the program listen on this address
    ///
    /// :9876 is that port of every interface, as 0.0.0.0 or as [::]; 127.0.0.1:9876 and [::1]:9876 are one
    /// address each; localhost:9876 is both of these. With port 0 the system chooses the port, and the
    /// program may not choose another. May be repeated.
    #[arg(long, value_name = "[IP]:PORT", help_heading = "Grants")]
    listen: Vec<ListenGrant>,
    /// Length of the accept queue of each listening socket [default: the program's own, or 4096]
    ///
    /// It overrides what the program asks for. The kernel caps it at net.core.somaxconn.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Limits")]
    backlog: Option<NonZeroU32>,
    /// Memory limit [default: no limit]
    ///
    /// In bytes, or with K, M or G.
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true, help_heading = "Limits")]
    max_memory: Option<usize>,
    /// Maximum number of handles of the program: sockets, streams, pollables, errors, open files
    /// [default: no limit]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Limits")]
    max_handles: Option<NonZeroU32>,
    #[command(flatten)]
    grants: GrantArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    limits: CompileArgs,
}

/// The exit status that a shell has for a process that SIGABRT ended.
const TRAPPED: u8 = 134;

impl Run {
    /// Runs the program to its end.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        signals::ignore_user_signals().context("cannot handle signals")?;
        let program = self.load().await.map_err(Failure::bad_input)?;
        match program.run().await {
            Ok(status) => Ok(ExitCode::from(status)),
            Err(error) => Err(self.trapped(&error)),
        }
    }

    fn trapped(&self, error: &Error) -> Failure {
        let backtrace = error.backtrace().unwrap_or_default();
        let backtrace: String = backtrace.lines().map(log::indented).collect();
        let name = self.name();
        Failure::new(format_args!("evconn: {name}: {error}{backtrace}"), TRAPPED)
    }

    fn path(&self) -> &Path {
        // The command line requires one.
        Path::new(self.app.first().map_or(OsStr::new(""), OsString::as_os_str))
    }

    async fn load(&self) -> anyhow::Result<Program> {
        let grants = self.grants()?;
        let input = Input::open(self.path())?;
        let mut program = self.program(input).await?.with_grants(grants);
        if let Some(bytes) = self.max_memory {
            program = program.with_max_memory(bytes);
        }
        if let Some(count) = self.max_handles {
            program = program.with_max_handles(count.get() as usize);
        }
        Ok(program)
    }

    /// Has a loader compile the program.
    #[cfg(unix)]
    async fn program(&self, input: Input) -> anyhow::Result<Program> {
        let compiled = Compiled::load(Request::of_command(&[input], &self.limits)).await?;
        compiled.program(self.host())
    }

    /// Compiles the program here: this platform has no loader.
    #[cfg(not(unix))]
    async fn program(&self, input: Input) -> anyhow::Result<Program> {
        compile(&self.host().build()?, &input)
    }

    fn host(&self) -> HostBuilder {
        // The program is the only instance.
        let limits = Limits {
            max_connections: 1,
            ..Limits::default()
        };
        Host::builder().limits(&limits).cache(self.cache.cache())
    }

    /// Returns the program's name for messages.
    fn name(&self) -> Cow<'_, str> {
        match is_stdin(self.path()) {
            true => "standard input".into(),
            false => self.path().to_string_lossy(),
        }
    }

    fn grants(&self) -> anyhow::Result<Grants> {
        // By convention, the first argument is the program's name.
        let name = self.path().file_name().unwrap_or_default();
        let mut grants = self.grants.builder().arg(name.to_string_lossy());
        if let Some(count) = self.backlog {
            grants = grants.backlog(count);
        }
        for argument in self.app.iter().skip(1) {
            let text = argument.to_str();
            grants = grants.arg(text.with_context(|| {
                format!("argument {argument:?} of the program is not Unicode, which a component requires")
            })?);
        }
        for address in &self.listen {
            grants = grants.listen(*address);
        }
        Ok(grants.build()?)
    }
}

#[cfg(unix)]
impl Work for Run {
    fn load(&self, order: Order) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
        let (host, inputs) = order.begin(self.host())?;
        let program = compile(&host, &inputs.get(0, self.path()))?;
        let binary = program.component().unwrap_or_default();
        let kind = Kind {
            wasi: program.wasi(),
            ..Kind::default()
        };
        compiled(&host, &program.serialize()?, kind, binary)
    }
}

fn compile(host: &Host, input: &Input) -> anyhow::Result<Program> {
    input.load(
        |path| Program::from_file(host, path),
        |bytes| Program::new(host, bytes),
    )
}
