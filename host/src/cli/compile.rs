//! `evconn compile`: what a start would compile, ahead of time.

use super::BAD_INPUT;
use anyhow::{Context, bail, ensure};
use clap::Args;
use evconn::{Host, Limits};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compile a service ahead of time, for `evconn serve --allow-precompiled`.
///
/// The compiled code is for this version of evconn, on this kind of processor and operating system. It
/// is checked first that it is a service: what this refuses, `evconn serve` would refuse, too.
#[derive(Args)]
pub struct Compile {
    /// The component, or its text (WAT).
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// Where the compiled code goes; APP.cwasm in the current directory if this is not given. A file
    /// that is there is replaced when all is done, and not before.
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
        let output = self.output()?;
        let code = compiler()?.precompile_file(&self.app)?;
        replace(&output, &code).with_context(|| format!("{} cannot be written", output.display()))
    }

    fn output(&self) -> anyhow::Result<PathBuf> {
        let output = match &self.output {
            Some(output) => output.clone(),
            None => match self.app.file_name() {
                Some(name) => Path::new(name).with_extension("cwasm"),
                None => bail!("{}: it is a directory, and no file", self.app.display()),
            },
        };
        ensure!(
            output.file_name().is_some() && !output.is_dir(),
            "{}: it is a directory: name a file for the compiled code",
            output.display()
        );
        ensure!(
            !is_same(&self.app, &output),
            "{}: the compiled code would replace the component: name another file",
            output.display()
        );
        Ok(output)
    }
}

/// A host that runs nothing. What a service may have is up to the one that serves it.
fn compiler() -> Result<Host, evconn::Error> {
    let limits = Limits {
        max_connections: 1,
        max_memory: usize::MAX,
        max_table_elements: 1 << 24,
        max_core_instances: 10_000,
        ..Limits::default()
    };
    Host::builder().limits(&limits).build()
}

/// Whether both are there, and one file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        // What is not there is no file that could be replaced.
        _ => false,
    }
}

/// Put this into a file so that nobody finds half of it there, whatever happens.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let unfinished = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&unfinished)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_file(&unfinished);
    }
    written
}
