//! The file of a Unix socket: finding out what exists at a path, and removing a file that was created
//! here.

use rustix::fs::{AtFlags, Mode, statat};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The file of a Unix socket that was created here. Dropping it removes the file, unless another file has
/// been put in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// The identity of a file, independent of its path: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    /// Returns the identity of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of(&metadata))
    }

    /// Returns the identity of the file with this name in a directory.
    pub fn at(directory: impl AsFd, name: &OsStr) -> rustix::io::Result<Self> {
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        // The types of these fields differ between systems.
        Ok(Self(found.st_dev as u64, found.st_ino as u64))
    }
}

/// What exists at a path. Symbolic links are not followed, as bind(2) does not follow them.
pub(super) enum FoundAtPath {
    Nothing,
    Socket(Identity),
    /// A description with its article.
    Other(&'static str),
}

/// Checks what exists at a path.
pub(super) fn inspect(path: &Path) -> io::Result<FoundAtPath> {
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
    /// Returns the absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file where it is, for a process that has the socket, too, and [takes it
    /// over](Self::take_over). Returns its absolute path.
    pub fn leave(mut self) -> PathBuf {
        let path = std::mem::take(&mut self.path);
        std::mem::forget(self);
        path
    }

    /// Takes over the file of a socket that another process has created and [left](Self::leave): it is removed
    /// when the returned value is dropped.
    ///
    /// # Errors
    /// If the path is not that of a socket of this user.
    pub fn take_over(path: &Path) -> io::Result<Self> {
        Made::find(path)?.into_file()
    }
}

/// The file of a socket that has just been bound.
pub(super) struct Made<'a> {
    path: &'a Path,
    metadata: Metadata,
    /// The open file, which stays the same if the path is replaced.
    #[cfg(target_os = "linux")]
    file: File,
}

impl<'a> Made<'a> {
    /// Opens the file that was just created at `path`.
    ///
    /// # Errors
    /// If it is not a socket of this user: then somebody has replaced it in the meantime.
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

    /// Sets the mode.
    pub fn set_mode(&self, mode: Mode) -> io::Result<()> {
        if Mode::from_raw_mode(self.metadata.mode() as _) & PERMISSIONS == mode {
            return Ok(());
        }
        // fchmod(2) does not accept an O_PATH descriptor, and a socket's file can be opened in no other
        // way.
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

    /// Makes the path absolute, so that the file is found if the working directory changes.
    pub fn into_file(self) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: std::path::absolute(self.path)?,
            identity: Identity::of(&self.metadata),
        })
    }
}

/// The mode bits that chmod(2) sets.
const PERMISSIONS: Mode = Mode::from_bits_retain(0o7777);

/// Removes the file at a path, if it is the one with this identity. A missing file is no error, and
/// another file stays.
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
        // The inode number cannot belong to another file: the socket is still open and keeps it in use.
        if let Err(error) = remove(&self.path, self.identity) {
            tracing::warn!("cannot remove the socket {:?}: {error}", self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_that_is_left_is_removed_by_whoever_takes_it_over() {
        let scratch = Scratch::new();
        let path = scratch.join("a.sock");
        let _socket = UnixListener::bind(&path).expect("a socket");
        let file = SocketFile::take_over(&path).expect("its file");
        assert_eq!(file.leave(), path);
        assert!(path.exists());
        drop(SocketFile::take_over(&path).expect("its file"));
        assert!(!path.exists());
        std::fs::write(&path, "").expect("written");
        SocketFile::take_over(&path).expect_err("it is no socket");
        assert!(path.exists());
    }
}
