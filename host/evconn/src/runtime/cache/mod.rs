//! Compiled code on disk, which saves later starts from compiling it again.
//!
//! Cached code runs without further checks. So an entry is used only if nobody else can change it,
//! neither before it is opened nor while it is read. (wasmtime has a cache of its own, which does not
//! check owners.) A damaged entry is compiled again. A cache that cannot be used never causes a failure.

#[cfg(unix)]
mod directory;
#[cfg(not(unix))]
#[path = "elsewhere.rs"]
mod directory;
mod store;

pub(crate) use store::CodeStore;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where compiled code is cached between processes.
///
/// Cached code runs without further checks. So a directory that is created here, and every file in it,
/// belongs to the user alone. Directories and files that others can write to, or that belong to another
/// user than root, are not used. The cache is limited to 512 MiB: beyond that, the least recently used
/// entries are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CodeCache {
    /// No cache: each process compiles.
    #[default]
    Off,
    /// The directory `evconn` in the user's cache directory: `$XDG_CACHE_HOME` or `~/.cache` on Linux,
    /// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    User,
    /// This directory, which is created if it does not exist.
    Directory(PathBuf),
}

impl CodeCache {
    /// Opens the cache. Returns None if it is off, or if it cannot be used, which is logged.
    pub(crate) fn open(&self) -> Option<CodeStore> {
        let directory = match self {
            Self::Off => return None,
            Self::User => user_directory().map(|caches| caches.join("evconn")),
            Self::Directory(path) => Some(path.clone()),
        };
        let Some(directory) = directory else {
            tracing::info!("compiled code is not kept: there is no home directory to keep it in");
            return None;
        };
        match open(&directory) {
            Ok(store) => Some(store),
            Err(why) => {
                tracing::info!(
                    "compiled code is not kept in {}: {why}",
                    directory.display()
                );
                None
            }
        }
    }
}

fn open(directory: &Path) -> Result<CodeStore, String> {
    let directory = std::path::absolute(directory).map_err(|error| error.to_string())?;
    create(&directory).map_err(|error| error.to_string())?;
    CodeStore::open(&directory)
}

fn create(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    match directory::builder().create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Returns the user's directory for cached data.
fn user_directory() -> Option<PathBuf> {
    let variable = if cfg!(windows) {
        "LOCALAPPDATA"
    } else {
        "XDG_CACHE_HOME"
    };
    let named = std::env::var_os(variable).map(PathBuf::from);
    // The XDG Base Directory Specification requires relative paths to be ignored.
    if let Some(directory) = named.filter(|path| path.is_absolute()) {
        return Some(directory);
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    Some(home.join(match std::env::consts::OS {
        "macos" => "Library/Caches",
        _ => ".cache",
    }))
}
