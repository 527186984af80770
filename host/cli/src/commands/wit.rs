//! `evconn wit`: the contract, for the binding generators of other languages.

use super::BAD_INPUT;
use crate::files;
use anyhow::{Context, bail};
use clap::Args;
use evconn::guests::WIT;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the WIT package evconn:tcp with the packages of WASI that it needs, as one file, or write them
/// into a directory: binding generators take either.
#[derive(Args)]
pub struct Wit {
    /// The directory to write to, which is made: `wit`, for instance. If it is there, it has to be empty.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Wit {
    pub fn run(&self) -> ExitCode {
        let result = match &self.output {
            Some(directory) => make(directory),
            None => files::print(&document()),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("evconn: {error:#}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }
}

/// All of it as one file: the package itself, and those that it needs nested in it.
fn document() -> String {
    let (nested, own): (Vec<_>, Vec<_>) = WIT.iter().partition(|(path, _)| path.contains('/'));
    let mut document = String::new();
    for (path, text) in own {
        let (package, rest) = package(text);
        if document.is_empty() {
            document = format!("{package};\n");
        }
        document += &format!("\n// {path}\n{rest}");
    }
    for (path, text) in nested {
        let (package, rest) = package(text);
        document += &format!("\n// {path}\n{package} {{{rest}}}\n");
    }
    document
}

/// A file is the package's name, and what is in it.
fn package(text: &str) -> (&str, &str) {
    text.split_once(';').unwrap_or((text, ""))
}

fn make(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => bail!("{shown}: it is there, and not empty: name another directory"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{shown}: it is a file, or below one: name another directory")
        }
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
    }
    let is_new = !directory.exists();
    let written = WIT.iter().try_for_each(|(path, text)| {
        let file = directory.join(path);
        file.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("{} cannot be written", file.display()))
    });
    if written.is_err() {
        remove(directory, is_new);
    }
    written
}

/// Half of it is of no use. The error that counts is the one that there was before.
fn remove(directory: &Path, is_new: bool) {
    for (path, _) in WIT {
        let file = directory.join(path);
        let _ = fs::remove_file(&file);
        // One that has nothing more in it.
        let _ = file
            .parent()
            .filter(|parent| is_new || *parent != directory)
            .map(fs::remove_dir);
    }
}
