//! A lock between processes that want to create a socket at the same path.

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

/// How long to wait for another process that has the lock. It needs it for far less.
const PATIENCE: Duration = Duration::from_secs(2);

/// A locked file beside the socket's, which is removed when this value is dropped. Only this user can
/// open it, so nobody else can delay a start by locking it. (Whoever may list a directory can lock the
/// directory itself.)
#[derive(Debug)]
pub(super) struct Lock {
    directory: OwnedFd,
    name: OsString,
    file: File,
}

impl Lock {
    /// Waits until this process alone may create a socket at `path`. Returns None if no lock file can be
    /// created: then no socket can be created either, or the file of that name belongs to another user,
    /// and locking it would exclude nobody.
    ///
    /// # Errors
    /// If the directory cannot be opened, or another process keeps the lock for longer than [`PATIENCE`].
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
        // While it is locked, nobody else removes it: it is still this file.
        if let Err(error) = unlinkat(&self.directory, &self.name, AtFlags::empty()) {
            tracing::warn!("cannot remove the lock {:?}: {error}", self.name);
        }
        // Closing the file would unlock it, too.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Returns the directory that contains a path.
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

/// Opens or creates the file of that name, unless it belongs to another user.
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

/// Locks the file, and returns whether that succeeded and the file still has this name: its previous
/// owner may have removed it.
fn is_locked(file: &File, directory: &OwnedFd, name: &OsStr) -> bool {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            Identity::of_file(file).is_ok_and(|ours| Identity::at(directory, name) == Ok(ours))
        }
        Err(Errno::WOULDBLOCK | Errno::INTR) => false,
        // This file system has no locks, so nobody has one.
        Err(_) => true,
    }
}
