//! Directories, opened once for all instances.

use super::GrantError;
use std::io;
use std::path::{Path, PathBuf};
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtx};

/// What a service may do in a directory that it is granted, and in all that is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirAccess {
    /// List it, and read files.
    ReadOnly,
    /// Create, change and delete files and directories, besides.
    ReadWrite,
}

/// A directory that is to be granted.
#[derive(Clone, Debug)]
pub(super) struct GrantedDirectory {
    pub host_path: PathBuf,
    pub guest_path: String,
    pub access: DirAccess,
}

/// Open all of them.
pub(super) fn open(directories: &[GrantedDirectory]) -> Result<WasiFilesystemCtx, GrantError> {
    let mut builder = WasiCtx::builder();
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

/// To open a directory does not take the right to read it.
fn check_readable(path: &Path) -> io::Result<()> {
    std::fs::read_dir(path).map(drop)
}
