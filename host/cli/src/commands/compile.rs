//! `evconn compile`: compiles a service ahead of time.

use crate::args::CompileArgs;
#[cfg(unix)]
use crate::control::FromLoader;
#[cfg(unix)]
use crate::files;
use crate::files::{Input, Output};
use crate::help::examples_of;
#[cfg(unix)]
use crate::loading::{Compiled, Request};
use crate::server::filtered;
#[cfg(unix)]
use crate::worker::{Kind, Order, Work, compiled};
use clap::Args;
use evconn::{Host, HostBuilder, Limits, ServiceBuilder};
use std::iter;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Compile a service ahead of time
///
/// `evconn serve --allow-precompiled` serves the output. The compiled code runs with this version of evconn, on this kind of processor and operating system. The
/// component is checked first: what this refuses, `evconn serve` would refuse as well.
#[derive(Args)]
#[command(after_long_help = examples_of("compile"))]
pub struct Compile {
    /// Component, or its text (WAT); `-` is standard input
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// File for the compiled code [default: APP.cwasm in the current directory]
    ///
    /// `-` is standard output. An existing file is replaced once compilation has succeeded.
    #[arg(short, long, value_name = "APP.cwasm")]
    output: Option<PathBuf>,
    /// Put this component in front of the service, and compile both
    ///
    /// It is a filter: it imports a handler (evconn:tcp/handler) and exports one of the same version, which is that of
    /// APP. May be repeated: a connection passes the first one first, and the last one is next to APP.
    #[arg(long, value_name = "FILTER.wasm")]
    through: Vec<PathBuf>,
    #[command(flatten)]
    limits: CompileArgs,
}

impl Compile {
    pub async fn run(&self) -> anyhow::Result<()> {
        let paths: Vec<&Path> = self.paths().collect();
        let output = Output::new(&paths, self.output.as_deref(), "cwasm")?;
        let filters = self.through.iter().cloned().map(Input::File);
        let app = Input::open(&self.app)?;
        let inputs: Vec<Input> = iter::once(app).chain(filters).collect();
        output.write(&self.code(&inputs).await?)
    }

    /// Returns the files of the component and of its filters.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let paths = iter::once(&self.app).chain(&self.through);
        paths.map(PathBuf::as_path)
    }

    /// Has a loader compile the component.
    #[cfg(unix)]
    async fn code(&self, inputs: &[Input]) -> anyhow::Result<Vec<u8>> {
        let compiled = Compiled::load(Request::of_command(inputs, &self.limits)).await?;
        Ok(files::contents(compiled.code)?)
    }

    /// Compiles the component here: this platform has no loader.
    #[cfg(not(unix))]
    async fn code(&self, inputs: &[Input]) -> anyhow::Result<Vec<u8>> {
        precompile(&compiler().wasi(inputs[0].wasi()).build()?, inputs)
    }
}

#[cfg(unix)]
impl Work for Compile {
    fn load(&self, order: Order) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
        let paths = self.paths().enumerate();
        let inputs: Vec<Input> = paths.map(|(at, path)| order.input(at, path)).collect();
        let wasi = inputs[0].wasi();
        let (host, _) = order.begin(compiler().wasi(wasi))?;
        let kind = Kind {
            wasi,
            ..Kind::default()
        };
        compiled(&host, &precompile(&host, &inputs)?, kind, &[])
    }
}

/// Compiles the first input with the others in front of it.
fn precompile(host: &Host, inputs: &[Input]) -> anyhow::Result<Vec<u8>> {
    inputs[0].load_with(
        filtered(host, &inputs[1..])?,
        |builder, path| builder.precompile_file(path),
        ServiceBuilder::precompile,
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
