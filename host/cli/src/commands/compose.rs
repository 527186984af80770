//! `evconn compose`: links the listener into a component that imports one.

use crate::files::{Input, Output};
use clap::Args;
use evconn::{Composer, Composition};
use std::path::{Path, PathBuf};

/// Link the listener into a component that imports evconn:tcp/listener
///
/// The composition runs on any runtime of WASI 0.2 that lets it use wasi:sockets, `wasmtime run` for one.
#[derive(Args)]
pub struct Compose {
    /// Component, or its text (WAT); `-` is standard input
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// File for the composition [default: APP.composed.wasm in the current directory]
    ///
    /// `-` is standard output. An existing file is replaced once composition has succeeded.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: Option<PathBuf>,
    /// Put this component between the listener and the application
    ///
    /// It imports the listener and exports one. May be repeated: the last one is next to the application.
    #[arg(long, value_name = "FILTER.wasm")]
    through: Vec<PathBuf>,
}

impl Compose {
    pub fn run(&self) -> anyhow::Result<()> {
        let inputs: Vec<&Path> = [&self.app]
            .into_iter()
            .chain(&self.through)
            .map(PathBuf::as_path)
            .collect();
        let output = Output::new(&inputs, self.output.as_deref(), "composed.wasm")?;
        let mut composer = Composer::new();
        for middleware in &self.through {
            composer = composer.through_file(middleware)?;
        }
        let composition = Input::open(&self.app)?.load(
            |path| composer.compose_file(path),
            |bytes| composer.compose(bytes),
        )?;
        output.write(composition.binary())?;
        output.report(&self.summary(&output, &composition))
    }

    fn summary(&self, output: &Output, composition: &Composition) -> String {
        let through = self
            .through
            .iter()
            .map(|path| format!(" through {}", path.display()));
        let imports = composition.imports().iter().map(|import| {
            match import.starts_with("evconn:tcp/connection@") {
                true => format!("  {import} (types only: no runtime has to provide it)\n"),
                false => format!("  {import}\n"),
            }
        });
        format!(
            "{}\nlinked: {}{}\nleft to import:\n{}",
            output,
            composition.linked(),
            through.collect::<String>(),
            imports.collect::<String>()
        )
    }
}
