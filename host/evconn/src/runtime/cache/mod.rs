//! Compiled code on disk, so that the next start need not compile.
//!
//! What is in there runs unchecked. So an entry is used only if nobody else can change it: not before it
//! is opened, and not while it is read. (wasmtime has a cache of its own, which looks at no owners.) An
//! entry that is damaged is compiled again. Nothing ever fails for want of a cache.

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

/// Where compiled code is kept between one process and the next.
///
/// What is in there runs unchecked. So a directory that is made is the user's alone, as is each file in
/// it; and what others can write to, or belongs to another user than root, is not used: neither such a
/// directory, nor such a file. Up to 512 MiB are kept: beyond that, what was not used for the longest time
/// goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CodeCache {
    /// Nowhere: each process compiles.
    #[default]
    Off,
    /// In the directory `evconn` of the user's cache directory: `$XDG_CACHE_HOME` or else `~/.cache`;
    /// on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`.
    User,
    /// In this directory, which is made if it is not there.
    Directory(PathBuf),
}

impl CodeCache {
    /// None if there is to be none, or none can be had: that is logged.
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

/// Where programs keep what they can make again.
fn user_directory() -> Option<PathBuf> {
    let variable = if cfg!(windows) {
        "LOCALAPPDATA"
    } else {
        "XDG_CACHE_HOME"
    };
    let named = std::env::var_os(variable).map(PathBuf::from);
    // A relative one is to be ignored, says the XDG Base Directory Specification.
    if let Some(directory) = named.filter(|path| path.is_absolute()) {
        return Some(directory);
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    Some(home.join(match std::env::consts::OS {
        "macos" => "Library/Caches",
        _ => ".cache",
    }))
}
