//! What a command writes: a file that it makes of others, or its standard output.

use super::is_stdin;
use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Write this to standard output. Whoever reads it may have had enough.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("the standard output cannot be written")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where something goes: a file, which is none of those that it is made of, or standard output.
pub enum Output {
    File(PathBuf),
    Stdout,
}

impl Output {
    /// What was named, or else the name of the first input with another extension, in the current
    /// directory.
    pub fn new(inputs: &[&Path], named: Option<&Path>, extension: &str) -> anyhow::Result<Self> {
        if named == Some(Path::new("-")) {
            // Nobody wants to see it.
            ensure!(
                !std::io::stdout().is_terminal(),
                "standard output is a terminal: name a file, or send it through a pipe"
            );
            return Ok(Self::Stdout);
        }
        let input = inputs.first().copied().unwrap_or(Path::new(""));
        let output = match (named, input.file_name()) {
            (None, _) if is_stdin(input) => bail!(
                "what is made of standard input has no name: say where it goes, with -o FILE, or -o - for \
                 standard output"
            ),
            (Some(output), _) => output.to_owned(),
            (None, Some(name)) => Path::new(name).with_extension(extension),
            (None, None) => bail!("{}: it is a directory, and no file", input.display()),
        };
        let shown = output.display();
        ensure!(
            output.file_name().is_some() && !output.is_dir(),
            "{shown}: it is a directory: name a file to be made"
        );
        // A device or a pipe would be replaced by a file.
        ensure!(
            output.is_file() || !output.exists(),
            "{shown}: it is no regular file: name a file to be made"
        );
        ensure!(
            !inputs.iter().any(|input| is_same(input, &output)),
            "{shown}: what is made would replace what it is made of: name another file"
        );
        Ok(Self::File(output))
    }

    /// Nobody finds half of it in a file, whatever happens.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::File(path) => {
                // Of a link, it is the file that is replaced.
                let file = path.canonicalize().unwrap_or_else(|_| path.clone());
                replace(&file, bytes)
            }
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
        }
        .with_context(|| format!("{self} cannot be written"))
    }

    /// Say something about what was written, where it is not in its way.
    pub fn tell(&self, text: &str) -> anyhow::Result<()> {
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
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // Nobody else is to write to what is going to be run, whatever the umask leaves.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    let mut file = options.open(&unfinished)?;
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
