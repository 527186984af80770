//! The file that a command makes of another one.

use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where it goes: a file, which is not the one that it is made of.
pub struct Output(PathBuf);

impl Output {
    /// What was named, or else the name of `input` with another extension, in the current directory.
    pub fn new(input: &Path, named: Option<&Path>, extension: &str) -> anyhow::Result<Self> {
        let output = match (named, input.file_name()) {
            (Some(output), _) => output.to_owned(),
            (None, Some(name)) => Path::new(name).with_extension(extension),
            (None, None) => bail!("{}: it is a directory, and no file", input.display()),
        };
        ensure!(
            output.file_name().is_some() && !output.is_dir(),
            "{}: it is a directory: name a file to be made",
            output.display()
        );
        ensure!(
            !is_same(input, &output),
            "{}: what is made would replace what it is made of: name another file",
            output.display()
        );
        Ok(Self(output))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Nobody finds half of it there, whatever happens.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        replace(&self.0, bytes).with_context(|| format!("{} cannot be written", self.0.display()))
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
