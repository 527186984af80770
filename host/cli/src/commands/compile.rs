//! `evconn compile`: compiles a service ahead of time.

use crate::files::{Input, Output};
use clap::Args;
use evconn::{Host, Limits};
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
}

impl Compile {
    pub fn run(&self) -> anyhow::Result<()> {
        let output = Output::new(&[&self.app], self.output.as_deref(), "cwasm")?;
        let host = compiler()?;
        let code = Input::open(&self.app)?.load(
            |path| host.precompile_file(path),
            |bytes| host.precompile(bytes),
        )?;
        output.write(&code)
    }
}

/// A host that only compiles. The limits of a service are those of the command that serves it.
fn compiler() -> Result<Host, evconn::Error> {
    let limits = Limits {
        max_connections: 1,
        max_memory: usize::MAX,
        max_table_elements: 1 << 24,
        max_memories: 1_000,
        max_tables: 1_000,
        max_core_instances: 10_000,
        ..Limits::default()
    };
    Host::builder().limits(&limits).build()
}
