//! The component that a command reads: a file, or with `-` standard input.

use anyhow::{Context, ensure};
use evconn::Error;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a component is. Cheap to clone.
#[derive(Clone)]
pub enum Input {
    File(PathBuf),
    /// The bytes of standard input, which can be read only once.
    Stdin(Arc<[u8]>),
}

/// More than any component has. Some inputs are endless.
const MAX_BYTES: u64 = 1 << 30;

/// Whether the path is `-`.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

impl Input {
    /// Opens what the path names. Waits for the end of standard input if that is it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !is_stdin(path) {
            return Ok(Self::File(path.to_owned()));
        }
        ensure!(
            !stdin().is_terminal(),
            "standard input is a terminal: name a file, or pipe the component in"
        );
        let mut bytes = Vec::new();
        let read = stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.context("cannot read standard input")?;
        ensure!(
            bytes.len() as u64 <= MAX_BYTES,
            "standard input has more than 1 GiB, which no component has"
        );
        Ok(Self::Stdin(bytes.into()))
    }

    /// Loads the component with one of these functions.
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
