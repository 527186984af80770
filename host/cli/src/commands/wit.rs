//! `evconn wit`: the WIT package, for the binding generators of other languages.

use crate::files;
use crate::help::examples_of;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use evconn::guests::{WIT, WIT_0_3};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Print the WIT package evconn:tcp
///
/// It is printed with the WASI packages that it depends on, as one file, or written to a directory: binding generators read either.
#[derive(Args)]
#[command(after_long_help = examples_of("wit"))]
pub struct Wit {
    /// Version of WASI: 0.3 has asynchronous functions, and streams
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = Wasi::V0_2)]
    wasi: Wasi,
    /// Directory to write to, `wit` for instance; it must be empty or not exist
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// A version of WASI.
#[derive(Clone, Copy, ValueEnum)]
enum Wasi {
    #[value(name = "0.2")]
    V0_2,
    #[value(name = "0.3")]
    V0_3,
}

/// The files of a package: their paths, and their content.
type Package = [(&'static str, &'static str)];

impl Wit {
    pub fn run(&self) -> anyhow::Result<()> {
        let package = match self.wasi {
            Wasi::V0_2 => WIT,
            Wasi::V0_3 => WIT_0_3,
        };
        match &self.output {
            Some(directory) => write(package, directory),
            None => files::print(&document(package)),
        }
    }
}

/// Returns all of it as one file: the package itself, and its dependencies nested in it.
fn document(package: &Package) -> String {
    let (nested, own): (Vec<_>, Vec<_>) = package.iter().partition(|(path, _)| path.contains('/'));
    let mut document = String::new();
    for (path, text) in own {
        let (package, rest) = split(text);
        if document.is_empty() {
            document = format!("{package};\n");
        }
        document += &format!("\n// {path}\n{rest}");
    }
    for (path, text) in nested {
        let (package, rest) = split(text);
        document += &format!("\n// {path}\n{package} {{{rest}}}\n");
    }
    document
}

/// Splits a file into the package's name and its content.
fn split(text: &str) -> (&str, &str) {
    text.split_once(';').unwrap_or((text, ""))
}

fn write(package: &Package, directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => bail!("{shown}: the directory is not empty: name another one"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{shown}: not a directory: name another one")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    }
    let is_new = !directory.exists();
    let written = package.iter().try_for_each(|(path, text)| {
        let file = directory.join(path);
        file.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))
    });
    if written.is_err() {
        remove(package, directory, is_new);
    }
    written
}

/// Removes a half-written package. Errors are ignored: the one that caused this is reported.
fn remove(package: &Package, directory: &Path, is_new: bool) {
    for (path, _) in package {
        let file = directory.join(path);
        let _ = fs::remove_file(&file);
        // This fails for a directory that is not empty yet.
        let _ = file
            .parent()
            .filter(|parent| is_new || *parent != directory)
            .map(fs::remove_dir);
    }
}
