//! `evconn compile`: what a start would compile, ahead of time.

use super::BAD_INPUT;
use crate::files::{Input, Output};
use clap::Args;
use evconn::{Host, Limits};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compile a service ahead of time, for `evconn serve --allow-precompiled`.
///
/// The compiled code is for this version of evconn, on this kind of processor and operating system. It
/// is checked first that it is a service: what this refuses, `evconn serve` would refuse, too.
#[derive(Args)]
pub struct Compile {
    /// The component, or its text (WAT); `-` is standard input.
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// Where the compiled code goes; APP.cwasm in the current directory if this is not given, and
    /// standard output if it is `-`. A file that is there is replaced when all is done, and not before.
    #[arg(short, long, value_name = "APP.cwasm")]
    output: Option<PathBuf>,
}

impl Compile {
    pub fn run(&self) -> ExitCode {
        match self.compile() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("evconn: {error:#}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }

    fn compile(&self) -> anyhow::Result<()> {
        let output = Output::new(&[&self.app], self.output.as_deref(), "cwasm")?;
        let host = compiler()?;
        let code = Input::open(&self.app)?.load(
            |path| host.precompile_file(path),
            |bytes| host.precompile(bytes),
        )?;
        output.write(&code)
    }
}

/// A host that runs nothing. What a service may have is up to the one that serves it.
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
