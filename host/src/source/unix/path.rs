//! Unix sockets with a path.
//!
//! # One at a time
//! A path that was left behind, by a process that was killed, looks like that of a process which has
//! bound it and is about to listen: connecting is refused. Two that start at a time could each take
//! the other's for such a one. So all is done under a lock of the directory, up to listen(2). The
//! kernel lets go of it with the process, and it leaves no file. (Binding another name and renaming
//! it would let the second of two replace the first, and both would believe that they serve. It
//! would also be that name which the socket and its peers see.) Programs that do not know of the
//! lock find a socket that listens a few microseconds after it was bound.
//!
//! # Who may connect
//! The mode is set between bind(2) and listen(2), when connecting is still refused: nobody gets in
//! that the mode would keep out. The umask, which is that of all threads, is left alone.

use super::file::{Found, SocketFile, look};
use super::{Opened, SourceError, bind_to, failed, listen, name, socket};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long another program may have the directory. It needs it for far less.
const PATIENCE: Duration = Duration::from_secs(2);

/// Make a socket that has this path and this mode, and listens.
pub(super) fn bind(
    path: &Path,
    mode: Option<u32>,
    backlog: NonZeroU32,
) -> Result<Opened, SourceError> {
    name::check_length(path.as_os_str())?;
    let shown = name::one_line(&path.to_string_lossy());
    let address = SocketAddrUnix::new(path)
        .map_err(|error| failed(format!("use the path {path:?}"), error))?;
    let socket = socket()?;
    let _lock = lock(directory(path))?;
    make_way(path, &address, &shown)?;
    bind_to(&socket, &address, &shown)?;
    let file = SocketFile::at(path)
        .map_err(|error| failed(format!("find unix:{shown}, which was just made"), error))?;
    if let Some(mode) = mode {
        let mode = Mode::from_raw_mode(mode as _);
        rustix::fs::chmod(path, mode)
            .map_err(|error| failed(format!("set the mode of {path:?}"), error))?;
    }
    listen(&socket, &format!("unix:{shown}"), backlog)?;
    Ok(Opened::Unix {
        file: Some(file),
        listener: UnixListener::from(socket),
        shared: false,
    })
}

/// The directory that a path is in.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Keep others that do the same out of a directory. It ends when what this returns is dropped.
fn lock(directory: &Path) -> Result<OwnedFd, SourceError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|error| failed(format!("open the directory {directory:?}"), error))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(opened),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(SourceError::Locked {
                    directory: directory.to_owned(),
                });
            }
            Err(error) => return Err(failed(format!("lock the directory {directory:?}"), error)),
        }
    }
}

/// Take a socket away that nobody serves any more. Whatever else is there stays.
fn make_way(path: &Path, address: &SocketAddrUnix, shown: &str) -> Result<(), SourceError> {
    match look(path).map_err(|error| failed(format!("look at {path:?}"), error))? {
        Found::Nothing => return Ok(()),
        Found::Socket => {}
        Found::Other(what) => {
            let path = path.to_owned();
            return Err(SourceError::NotASocketFile { path, what });
        }
    }
    match rustix::net::connect(&socket()?, address) {
        // Nobody has it open, or nobody listens.
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path)
            .map_err(|error| failed(format!("remove {path:?}, which nobody serves"), error)),
        // It went away meanwhile.
        Err(Errno::NOENT) => Ok(()),
        // It is served; its queue is full; it is one for datagrams.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => {
            let name = shown.to_owned();
            Err(SourceError::AddressInUse { name })
        }
        Err(error) => Err(failed(
            format!("find out whether {path:?} is served"),
            error,
        )),
    }
}

#[cfg(test)]
mod tests;
