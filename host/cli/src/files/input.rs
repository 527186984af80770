//! The component that a command is given: a file, or `-` for its standard input.

use anyhow::{Context, ensure};
use evconn::Error;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a component is. Cheap to clone.
#[derive(Clone)]
pub enum Input {
    File(PathBuf),
    /// It was in standard input, which can be read once: this.
    Stdin(Arc<[u8]>),
}

/// More than any component has: some inputs have no end.
const MOST: u64 = 1 << 30;

/// Whether it stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

impl Input {
    /// What was named. It waits for the end of standard input, if it is that.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !is_stdin(path) {
            return Ok(Self::File(path.to_owned()));
        }
        ensure!(
            !stdin().is_terminal(),
            "standard input is a terminal: name a file, or send the component through a pipe"
        );
        let mut bytes = Vec::new();
        let read = stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
        read.context("standard input cannot be read")?;
        ensure!(
            bytes.len() as u64 <= MOST,
            "standard input: it has more than 1 GiB: that is no component"
        );
        Ok(Self::Stdin(bytes.into()))
    }

    /// Make something of it: of a file, or of the bytes of one.
    pub fn load<T>(
        &self,
        of_file: impl FnOnce(&Path) -> Result<T, Error>,
        of_bytes: impl FnOnce(&[u8]) -> Result<T, Error>,
    ) -> anyhow::Result<T> {
        match self {
            Self::File(path) => Ok(of_file(path)?),
            Self::Stdin(bytes) => of_bytes(bytes).map_err(|error| match error {
                Error::Load(error) => anyhow::anyhow!("standard input: {}", error.problem()),
                error => error.into(),
            }),
        }
    }
}
