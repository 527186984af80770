//! The file of a Unix socket: what is at a path, and taking away what was put there.

use rustix::fs::{AtFlags, Mode, statat};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
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
pub(super) struct Identity(u64, u64);

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    /// That of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of(&metadata))
    }

    /// That of what has this name in a directory.
    pub fn at(directory: impl AsFd, name: &OsStr) -> rustix::io::Result<Self> {
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        // Their types differ from one system to another.
        Ok(Self(found.st_dev as u64, found.st_ino as u64))
    }
}

/// What is at a path. A symbolic link is not followed: nor does bind(2) follow it.
pub(super) enum FoundAtPath {
    Nothing,
    Socket(Identity),
    /// With its article.
    Other(&'static str),
}

/// Look what is at a path.
pub(super) fn look(path: &Path) -> io::Result<FoundAtPath> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FoundAtPath::Nothing),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    Ok(match () {
        () if kind.is_socket() => FoundAtPath::Socket(Identity::of(&metadata)),
        () if kind.is_dir() => FoundAtPath::Other("a directory"),
        () if kind.is_symlink() => FoundAtPath::Other("a symbolic link"),
        () if kind.is_file() => FoundAtPath::Other("a file"),
        () => FoundAtPath::Other("a device or a pipe"),
    })
}

impl SocketFile {
    /// Its path, which is absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file of a socket that was bound just now.
pub(super) struct Made<'a> {
    path: &'a Path,
    metadata: Metadata,
    /// The file, however it is called by now.
    #[cfg(target_os = "linux")]
    file: File,
}

impl<'a> Made<'a> {
    /// What is at `path` has to be a socket of this user: otherwise somebody has put it there in between.
    pub fn find(path: &'a Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let file = {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            File::from(rustix::fs::open(path, flags, Mode::empty())?)
        };
        #[cfg(target_os = "linux")]
        let metadata = file.metadata()?;
        #[cfg(not(target_os = "linux"))]
        let metadata = path.symlink_metadata()?;
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.file_type().is_socket() || !is_own {
            return Err(io::Error::other(
                "somebody has put another file in its place",
            ));
        }
        Ok(Self {
            path,
            metadata,
            #[cfg(target_os = "linux")]
            file,
        })
    }

    /// Give it this mode.
    pub fn set_mode(&self, mode: Mode) -> io::Result<()> {
        if Mode::from_raw_mode(self.metadata.mode() as _) & PERMISSIONS == mode {
            return Ok(());
        }
        // fchmod(2) takes no descriptor that is for nothing but a path, and for a socket's file there
        // is no other.
        #[cfg(target_os = "linux")]
        let result = {
            use std::os::fd::AsRawFd;
            rustix::fs::chmod(format!("/proc/self/fd/{}", self.file.as_raw_fd()), mode)
        };
        #[cfg(not(target_os = "linux"))]
        let result =
            rustix::fs::chmodat(rustix::fs::CWD, self.path, mode, AtFlags::SYMLINK_NOFOLLOW);
        Ok(result?)
    }

    /// It is found by its absolute path, should the working directory be another one then.
    pub fn into_file(self) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: std::path::absolute(self.path)?,
            identity: Identity::of(&self.metadata),
        })
    }
}

/// What chmod(2) sets of a mode.
const PERMISSIONS: Mode = Mode::from_bits_retain(0o7777);

/// Remove what is at a path, if it is this. What is gone is no error, and what is there instead stays.
pub(super) fn remove(path: &Path, identity: Identity) -> io::Result<()> {
    let removed =
        path.symlink_metadata()
            .and_then(|found| match Identity::of(&found) == identity {
                true => std::fs::remove_file(path),
                false => Ok(()),
            });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The number cannot be another file's: the socket, which is still open, keeps it.
        if let Err(error) = remove(&self.path, self.identity) {
            tracing::warn!("cannot remove the socket {:?}: {error}", self.path);
        }
    }
}
