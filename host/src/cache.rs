//! Compiled code on disk, so that the next start need not compile.
//!
//! Where it ends: what is in there, and for how long, is wasmtime's. An entry that is damaged is compiled
//! again. Nothing ever fails for want of a cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wasmtime::{Cache, CacheConfig};

/// Where compiled code is kept between one process and the next.
///
/// What is in there runs unchecked. So a directory that is made is the user's alone, and one that
/// others can write to, or that belongs to another user than root, is not used.
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
    pub(crate) fn open(&self) -> Option<Cache> {
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
            Ok(cache) => Some(cache),
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

fn open(directory: &Path) -> Result<Cache, String> {
    let directory = std::path::absolute(directory).map_err(|error| error.to_string())?;
    create(&directory).map_err(|error| error.to_string())?;
    check_is_private(&directory)?;
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config).map_err(|error| error.root_cause().to_string())
}

fn create(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

#[cfg(unix)]
fn check_is_private(directory: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let metadata = fs::metadata(directory).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is not a directory".to_owned());
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".to_owned());
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err("other users can write to it".to_owned());
    }
    // Code that is there already is used all the same.
    if let Err(error) = rustix::fs::access(directory, rustix::fs::Access::WRITE_OK) {
        let error = io::Error::from(error);
        tracing::info!(
            "no more compiled code is kept in {}: {error}",
            directory.display()
        );
    }
    Ok(())
}

/// The user's directories are the user's alone there.
#[cfg(not(unix))]
fn check_is_private(_directory: &Path) -> Result<(), String> {
    Ok(())
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
