//! `evconn compile`: compiles a service ahead of time.

use crate::args::CompileArgs;
#[cfg(unix)]
use crate::control::FromLoader;
#[cfg(unix)]
use crate::files;
use crate::files::{Input, Output};
#[cfg(unix)]
use crate::loading::{Compiled, Request};
#[cfg(unix)]
use crate::worker::{Order, Work, compiled};
use clap::Args;
use evconn::{Host, HostBuilder, Limits};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Compile a service ahead of time, for `evconn serve --allow-precompiled`
///
/// The compiled code runs with this version of evconn, on this kind of processor and operating system. The
/// component is checked first: what this refuses, `evconn serve` would refuse as well.
#[derive(Args)]
pub struct Compile {
    /// Component, or its text (WAT); `-` is standard input
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// File for the compiled code [default: APP.cwasm in the current directory]
    ///
    /// `-` is standard output. An existing file is replaced once compilation has succeeded.
    #[arg(short, long, value_name = "APP.cwasm")]
    output: Option<PathBuf>,
    #[command(flatten)]
    limits: CompileArgs,
}

impl Compile {
    pub async fn run(&self) -> anyhow::Result<()> {
        let output = Output::new(&[&self.app], self.output.as_deref(), "cwasm")?;
        let input = Input::open(&self.app)?;
        output.write(&self.code(input).await?)
    }

    /// Has a loader compile the component.
    #[cfg(unix)]
    async fn code(&self, input: Input) -> anyhow::Result<Vec<u8>> {
        let compiled = Compiled::load(Request::of_command(&[input], &self.limits)).await?;
        Ok(files::contents(compiled.code)?)
    }

    /// Compiles the component here: this platform has no loader.
    #[cfg(not(unix))]
    async fn code(&self, input: Input) -> anyhow::Result<Vec<u8>> {
        precompile(&compiler().wasi(input.wasi()).build()?, &input)
    }
}

#[cfg(unix)]
impl Work for Compile {
    fn load(&self, order: Order) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
        let input = order.input(0, &self.app);
        let wasi = input.wasi();
        let (host, _) = order.begin(compiler().wasi(wasi))?;
        compiled(&host, &precompile(&host, &input)?, (0, wasi), &[])
    }
}

fn precompile(host: &Host, input: &Input) -> anyhow::Result<Vec<u8>> {
    input.load(
        |path| host.precompile_file(path),
        |bytes| host.precompile(bytes),
    )
}

/// A host that only compiles. The limits of a service are those of the command that serves it.
fn compiler() -> HostBuilder {
    let limits = Limits {
        max_connections: 1,
        max_memory: usize::MAX,
        max_table_elements: 1 << 24,
        max_memories: 1_000,
        max_tables: 1_000,
        max_core_instances: 10_000,
        ..Limits::default()
    };
    Host::builder().limits(&limits)
}
