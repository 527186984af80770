//! What a command writes: a file, or with `-` standard output.

use super::input::is_stdin;
use crate::sys::files::not_writable_by_others;
use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Writes to standard output. A reader that has closed it is not an error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The output of a command: standard output, or a file that is none of its inputs.
pub enum Output {
    File(PathBuf),
    Stdout,
}

impl Output {
    /// Returns the named output, or a file in the current directory: the first input's name with `extension`.
    pub fn new(inputs: &[&Path], named: Option<&Path>, extension: &str) -> anyhow::Result<Self> {
        if named == Some(Path::new("-")) {
            // It is binary.
            ensure!(
                !std::io::stdout().is_terminal(),
                "standard output is a terminal: name a file, or pipe it out"
            );
            return Ok(Self::Stdout);
        }
        let input = inputs.first().copied().unwrap_or(Path::new(""));
        let output = match (named, input.file_name()) {
            (None, _) if is_stdin(input) => bail!(
                "an output is required if the input is standard input: -o FILE, or -o - for standard output"
            ),
            (Some(output), _) => output.to_owned(),
            (None, Some(name)) => Path::new(name).with_extension(extension),
            (None, None) => bail!("{}: it is a directory, and no file", input.display()),
        };
        let shown = output.display();
        ensure!(
            output.file_name().is_some() && !output.is_dir(),
            "{shown}: a directory: name a file"
        );
        // The rename would replace a device or a pipe.
        ensure!(
            output.is_file() || !output.exists(),
            "{shown}: not a regular file: name another one"
        );
        ensure!(
            !inputs.iter().any(|input| is_same(input, &output)),
            "{shown}: the output would replace an input: name another file"
        );
        Ok(Self::File(output))
    }

    /// Writes all of it, or leaves the file as it was.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::File(path) => {
                // A link stays: the file that it points to is replaced.
                let file = path.canonicalize().unwrap_or_else(|_| path.clone());
                replace(&file, bytes)
            }
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
        }
        .with_context(|| format!("cannot write {self}"))
    }

    /// Prints a report on what was written, to standard error if the output is standard output.
    pub fn report(&self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::File(_) => print(text),
            Self::Stdout => {
                eprint!("{text}");
                Ok(())
            }
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

/// Whether both paths name the same existing file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        // A path that does not exist cannot be replaced.
        _ => false,
    }
}

/// Writes to a temporary file beside it, and renames that.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let unfinished = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    not_writable_by_others(&mut options);
    let mut file = options.open(&unfinished)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&unfinished);
    }
    written
}
