//! Keeping those apart that want to make a socket at one path.

use super::file::Identity;
use super::{SourceError, failed};
use crate::privacy;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long another process may have the path. It needs it for far less.
const PATIENCE: Duration = Duration::from_secs(2);

/// A file beside the socket's, which is locked, and goes when this is dropped. It is this user's alone:
/// nobody else can lock it, and so hold up who starts. (A lock of the directory itself is to be had for
/// everybody who may list it.)
#[derive(Debug)]
pub(super) struct Lock {
    directory: OwnedFd,
    name: OsString,
    file: File,
}

impl Lock {
    /// Wait until this process alone may make a socket at `path`. None, if no file can be made beside
    /// it: then no socket can be made either; or if somebody else has one of that name: whom it keeps
    /// out is of no use then.
    ///
    /// # Errors
    /// If the directory is not there, or another process has the lock for too long.
    pub fn take(path: &Path) -> Result<Option<Self>, SourceError> {
        let parent = directory(path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty())
            .map_err(|error| failed(format!("open the directory {parent:?}"), error))?;
        let name = file_name(path);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(file) = open(&directory, &name) else {
                return Ok(None);
            };
            if is_locked(&file, &directory, &name) {
                return Ok(Some(Self {
                    directory,
                    name,
                    file,
                }));
            }
            if Instant::now() > deadline {
                return Err(SourceError::Locked {
                    path: path.to_owned(),
                    lock: path.with_file_name(&name),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // As long as it is locked, it is this one.
        if let Err(error) = unlinkat(&self.directory, &self.name, AtFlags::empty()) {
            tracing::warn!("cannot remove the lock {:?}: {error}", self.name);
        }
        // Closing it would do, too.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The directory that a path is in.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn file_name(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".lock");
    name
}

/// The file of that name, if it is nobody else's.
fn open(directory: &OwnedFd, name: &OsStr) -> std::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = File::from(openat(directory, name, flags | OFlags::CLOEXEC, mode)?);
    let metadata = file.metadata()?;
    match privacy::problem(&metadata) {
        None if metadata.is_file() => Ok(file),
        None => Err(std::io::Error::other("it is not a file")),
        Some(problem) => Err(std::io::Error::other(problem)),
    }
}

/// Lock it, if nobody else has, and if it is still the one of that name: who had it before has removed
/// it.
fn is_locked(file: &File, directory: &OwnedFd, name: &OsStr) -> bool {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            Identity::of_file(file).is_ok_and(|ours| Identity::at(directory, name) == Ok(ours))
        }
        Err(Errno::WOULDBLOCK | Errno::INTR) => false,
        // There are no locks on this file system: nobody has one.
        Err(_) => true,
    }
}
