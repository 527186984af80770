//! Directories, opened once for all instances.

use super::GrantError;
use std::io;
use std::path::{Path, PathBuf};
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtx};

/// What a service may do in a granted directory and everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirAccess {
    /// List directories and read files.
    ReadOnly,
    /// Also create, change and delete files and directories.
    ReadWrite,
}

/// A directory to be granted.
#[derive(Clone, Debug)]
pub(super) struct GrantedDirectory {
    pub host_path: PathBuf,
    pub guest_path: String,
    pub access: DirAccess,
}

/// Opens the directories.
pub(super) fn open(directories: &[GrantedDirectory]) -> Result<WasiFilesystemCtx, GrantError> {
    let mut builder = WasiCtx::builder();
    // Each operation is done on a thread that may block.
    builder.allow_blocking_current_thread(true);
    for (index, directory) in directories.iter().enumerate() {
        let GrantedDirectory {
            host_path,
            guest_path,
            access,
        } = directory;
        let is_taken = |other: &GrantedDirectory| other.guest_path == *guest_path;
        if guest_path.is_empty() || directories[..index].iter().any(is_taken) {
            return Err(GrantError::GuestPath {
                path: host_path.clone(),
                guest_path: guest_path.clone(),
            });
        }
        let permissions = match access {
            DirAccess::ReadOnly => FsPerms::ReadOnly,
            DirAccess::ReadWrite => FsPerms::ReadWrite,
        };
        check_readable(host_path)
            .and_then(|()| {
                builder
                    .preopened_dir(host_path, guest_path, permissions)
                    .map(|_| ())
                    .map_err(io::Error::other)
            })
            .map_err(|error| GrantError::Directory {
                path: host_path.clone(),
                error,
            })?;
    }
    Ok(builder.build().filesystem().clone())
}

/// Opening a directory does not require the permission to read it, so this checks it.
fn check_readable(path: &Path) -> io::Result<()> {
    std::fs::read_dir(path).map(drop)
}
