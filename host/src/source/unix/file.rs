//! The file of a Unix socket: what is at a path, and taking away what was put there.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The file of a Unix socket that was made here. Dropping it removes the file, unless somebody has
/// put another one in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// A file, whatever its path: the device, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

/// What is at a path. A symbolic link is not followed: nor does bind(2) follow it.
pub(super) enum Found {
    Nothing,
    Socket,
    /// With its article.
    Other(&'static str),
}

/// Look what is at a path.
pub(super) fn look(path: &Path) -> io::Result<Found> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    Ok(match () {
        () if kind.is_socket() => Found::Socket,
        () if kind.is_dir() => Found::Other("a directory"),
        () if kind.is_symlink() => Found::Other("a symbolic link"),
        () if kind.is_file() => Found::Other("a file"),
        () => Found::Other("a device or a pipe"),
    })
}

impl SocketFile {
    /// The file at `path`, which was made just now. It is found by its absolute path, should the
    /// working directory be another one then.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: std::path::absolute(path)?,
            identity: identity(path)?,
        })
    }

    /// Its path, which is absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = path.symlink_metadata()?;
    Ok(Identity(metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The number cannot be another file's: the socket, which is still open, keeps it.
        let result = match identity(&self.path) {
            Ok(found) if found == self.identity => std::fs::remove_file(&self.path),
            Ok(_) => return,
            Err(error) => Err(error),
        };
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove the socket {:?}: {error}", self.path);
            }
            _ => {}
        }
    }
}
