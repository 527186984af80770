//! The component that a command reads: a file, or with `-` standard input.

use anyhow::{Context, ensure};
use evconn::{Error, WasiVersion};
use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a component is. Cheap to clone.
#[derive(Clone)]
pub enum Input {
    File(PathBuf),
    /// The bytes of standard input, which can be read only once.
    Stdin(Arc<[u8]>),
    /// The bytes of a file that this process cannot open, because another one has read it: a pipe, for example.
    Read(PathBuf, Arc<[u8]>),
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
        let bytes = read(stdin().lock(), "standard input")?;
        Ok(Self::Stdin(bytes.into()))
    }

    /// Returns the input at this path of a process that was given its bytes, unless it can open the file itself.
    #[cfg(unix)]
    pub fn given(path: &Path, bytes: Option<Arc<[u8]>>) -> Self {
        match bytes {
            Some(bytes) if is_stdin(path) => Self::Stdin(bytes),
            Some(bytes) => Self::Read(path.to_owned(), bytes),
            None => Self::File(path.to_owned()),
        }
    }

    /// Returns the version of WASI that it seems to be built for. What cannot be read is reported when it is loaded.
    pub fn wasi(&self) -> WasiVersion {
        match self {
            Self::Stdin(bytes) | Self::Read(_, bytes) => WasiVersion::guess(bytes),
            Self::File(path) => WasiVersion::guess_file(path),
        }
    }

    /// Loads the component with one of these functions.
    pub fn load<T>(
        &self,
        of_file: impl FnOnce(&Path) -> Result<T, Error>,
        of_bytes: impl FnOnce(&[u8]) -> Result<T, Error>,
    ) -> anyhow::Result<T> {
        self.load_with((), |(), path| of_file(path), |(), bytes| of_bytes(bytes))
    }

    /// Loads the component with one of these functions, to which it passes what both need.
    pub fn load_with<T, W>(
        &self,
        with: W,
        of_file: impl FnOnce(W, &Path) -> Result<T, Error>,
        of_bytes: impl FnOnce(W, &[u8]) -> Result<T, Error>,
    ) -> anyhow::Result<T> {
        match self {
            Self::File(path) => Ok(of_file(with, path)?),
            Self::Stdin(bytes) => {
                of_bytes(with, bytes).map_err(|error| named(error, "standard input"))
            }
            Self::Read(path, bytes) => {
                of_bytes(with, bytes).map_err(|error| named(error, &path.display().to_string()))
            }
        }
    }
}

/// Adds the name of what was read to an error.
fn named(error: Error, name: &str) -> anyhow::Error {
    match error {
        Error::Load(error) => anyhow::anyhow!("{name}: {}", error.problem()),
        error => error.into(),
    }
}

fn read(from: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {name}"))?;
    ensure!(
        bytes.len() as u64 <= MAX_BYTES,
        "{name} has more than 1 GiB, which no component has"
    );
    Ok(bytes)
}

/// Reads all of an open file.
#[cfg(unix)]
pub fn contents(file: std::os::fd::OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads what another process could not read at this path: what can be read only once, such as a pipe, and what
/// is another file there, such as `/dev/stdin`. Returns `None` for all else, which includes files that cannot be
/// opened. Blocks.
#[cfg(unix)]
pub fn read_for_others(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    /// The folders of what differs between processes.
    const OF_A_PROCESS: [&str; 2] = ["/dev", "/proc"];
    let is_own = OF_A_PROCESS.iter().any(|folder| path.starts_with(folder));
    let metadata = std::fs::metadata(path);
    if metadata.is_err() || metadata.is_ok_and(|file| file.is_dir() || file.is_file() && !is_own) {
        return Ok(None);
    }
    match File::open(path) {
        Ok(file) => read(file, &path.display().to_string()).map(Some),
        Err(_) => Ok(None),
    }
}
