//! `evconn compose`: links the listener into a component that imports one.

use crate::args::CompileArgs;
#[cfg(unix)]
use crate::control::FromLoader;
#[cfg(unix)]
use crate::files;
use crate::files::{Input, Output};
use crate::help::examples_of;
#[cfg(unix)]
use crate::loading::{self, Request};
#[cfg(unix)]
use crate::sys::memory;
#[cfg(unix)]
use crate::worker::{Order, Work};
use clap::Args;
use evconn::{Composer, Composition};
use std::iter;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Link the listener into a component that imports evconn:tcp/listener
///
/// The composition runs on any runtime of the component's version of WASI, 0.2 or 0.3, that lets it use wasi:sockets,
/// `wasmtime run` for one.
#[derive(Args)]
#[command(after_long_help = examples_of("compose"))]
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
    #[command(flatten)]
    limits: CompileArgs,
}

impl Compose {
    pub async fn run(&self) -> anyhow::Result<()> {
        let inputs: Vec<&Path> = [&self.app]
            .into_iter()
            .chain(&self.through)
            .map(PathBuf::as_path)
            .collect();
        let output = Output::new(&inputs, self.output.as_deref(), "composed.wasm")?;
        let through = self.through.iter().cloned().map(Input::File);
        let inputs: Vec<Input> = iter::once(Input::open(&self.app)?).chain(through).collect();
        let (binary, report) = self.composition(&inputs).await?;
        output.write(&binary)?;
        output.report(&format!("{output}\n{report}"))
    }

    /// Has a loader compose the component. Returns the composition and a report about it.
    #[cfg(unix)]
    async fn composition(&self, inputs: &[Input]) -> anyhow::Result<(Vec<u8>, String)> {
        let (_, composed) = loading::load(Request::of_command(inputs, &self.limits)).await?;
        let [binary, report] = <[OwnedFd; 2]>::try_from(composed)
            .map_err(|_| anyhow::anyhow!("the loader has not sent a composition"))?;
        let report = String::from_utf8(files::contents(report)?)?;
        Ok((files::contents(binary)?, report))
    }

    /// Composes the component here: this platform has no loader.
    #[cfg(not(unix))]
    async fn composition(&self, inputs: &[Input]) -> anyhow::Result<(Vec<u8>, String)> {
        let composition = compose(inputs)?;
        let report = self.report(&composition);
        Ok((composition.into_binary(), report))
    }

    fn report(&self, composition: &Composition) -> String {
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
            "linked: {}{}\nleft to import:\n{}",
            composition.linked(),
            through.collect::<String>(),
            imports.collect::<String>()
        )
    }
}

#[cfg(unix)]
impl Work for Compose {
    fn load(&self, order: Order) -> anyhow::Result<(FromLoader, Vec<OwnedFd>)> {
        let given = order.begin_without_host()?;
        let paths = iter::once(&self.app).chain(&self.through);
        let inputs = paths.enumerate().map(|(at, path)| given.get(at, path));
        let composition = compose(&inputs.collect::<Vec<_>>())?;
        let files = [
            memory::file("composition", composition.binary())?,
            memory::file("report", self.report(&composition).as_bytes())?,
        ];
        Ok((FromLoader::Composed, files.map(OwnedFd::from).into()))
    }
}

/// Composes the first input through the others.
fn compose(inputs: &[Input]) -> anyhow::Result<Composition> {
    let mut composer = Composer::new();
    for middleware in &inputs[1..] {
        composer = middleware.load_with(
            composer,
            |composer, path| composer.through_file(path),
            Composer::through,
        )?;
    }
    inputs[0].load(
        |path| composer.compose_file(path),
        |bytes| composer.compose(bytes),
    )
}
