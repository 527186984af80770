//! Unix sockets with a path.
//!
//! # Only one process at a time
//! The file of a killed process looks like that of a process that has bound the path and is about to
//! listen: connecting to either is refused. Two processes that start at the same time could each take the
//! other's socket for a stale one. So everything up to listen(2) is done under a [`Lock`]. (Binding
//! another name and renaming it would let the second process replace the first one's socket, and both
//! would believe that they serve; the socket and its peers would also report the temporary name.) A
//! program that does not know of the lock finds a socket that listens a few microseconds after it was
//! bound.
//!
//! # Who may connect
//! The mode is set before listen(2), while connecting is still refused: nobody whom the mode excludes can
//! get in. The umask, which all threads share, is not changed.
//!
//! # Which file is changed
//! Whoever can write to the directory can put something else at the path at any time, such as a link. So
//! each change is made to the file that was checked, not to whatever has the path.

use super::file::{FoundAtPath, Made, SocketFile, inspect, remove};
use super::lock::Lock;
use super::{Opened, SourceError, bind_to, failed, listen, name, socket};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Creates a listening socket with this path and this mode.
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
    let mode = mode.map(|mode| Mode::from_raw_mode(mode as _));
    let _lock = Lock::take(path)?;
    remove_stale(path, &address, &shown)?;
    let file = make(path, &socket, &address, mode, &shown)?;
    listen(&socket, &format!("unix:{shown}"), backlog)?;
    Ok(Opened::Unix {
        file: Some(file),
        listener: UnixListener::from(socket),
        shared: false,
    })
}

/// Binds the socket to its path, with its mode.
fn make(
    path: &Path,
    socket: &OwnedFd,
    address: &SocketAddrUnix,
    mode: Option<Mode>,
    shown: &str,
) -> Result<SocketFile, SourceError> {
    // The file's first mode is the socket's mode without the bits of the umask: never more than it is to
    // have.
    #[cfg(target_os = "linux")]
    if let Some(mode) = mode {
        rustix::fs::fchmod(socket, mode)
            .map_err(|error| failed(format!("set the mode of unix:{shown}"), error))?;
    }
    bind_to(socket, address, shown)?;
    let made = Made::find(path)
        .map_err(|error| failed(format!("find unix:{shown}, which was just made"), error))?;
    if let Some(mode) = mode {
        made.set_mode(mode)
            .map_err(|error| failed(format!("set the mode of {path:?}"), error))?;
    }
    made.into_file()
        .map_err(|error| failed(format!("find the directory of unix:{shown}"), error))
}

/// Removes the file of a socket on which no process listens any more. Any other file stays.
fn remove_stale(path: &Path, address: &SocketAddrUnix, shown: &str) -> Result<(), SourceError> {
    let found = inspect(path).map_err(|error| failed(format!("inspect {path:?}"), error))?;
    let identity = match found {
        FoundAtPath::Nothing => return Ok(()),
        FoundAtPath::Socket(identity) => identity,
        FoundAtPath::Other(what) => {
            let path = path.to_owned();
            return Err(SourceError::NotASocketFile { path, what });
        }
    };
    match rustix::net::connect(&socket()?, address) {
        // No process has it open, or none listens.
        Err(Errno::CONNREFUSED) => remove(path, identity)
            .map_err(|error| failed(format!("remove {path:?}, which nobody serves"), error)),
        // It was removed in the meantime.
        Err(Errno::NOENT) => Ok(()),
        // A process listens on it, its queue is full, or it is a datagram socket.
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
