//! Unix sockets with a path.
//!
//! # One at a time
//! A path that was left behind, by a process that was killed, looks like that of a process which has
//! bound it and is about to listen: connecting is refused. Two that start at a time could each take
//! the other's for such a one. So all is done under a [`Lock`], up to listen(2). (Binding another name and
//! renaming it would let the second of two replace the first, and both would believe that they serve. It
//! would also be that name which the socket and its peers see.) Programs that do not know of the
//! lock find a socket that listens a few microseconds after it was bound.
//!
//! # Who may connect
//! The mode is right before listen(2), when connecting is still refused: nobody gets in that the mode
//! would keep out. The umask, which is that of all threads, is left alone.
//!
//! # Whose file it is
//! Who can write to the directory can put something else at the path at any time, a link for instance.
//! So whatever is done to the file is done to that which was looked at, and not to what has the path.

use super::file::{FoundAtPath, Made, SocketFile, look, remove};
use super::lock::Lock;
use super::{Opened, SourceError, bind_to, failed, listen, name, socket};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

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
    let mode = mode.map(|mode| Mode::from_raw_mode(mode as _));
    let _lock = Lock::take(path)?;
    make_way(path, &address, &shown)?;
    let file = make(path, &socket, &address, mode, &shown)?;
    listen(&socket, &format!("unix:{shown}"), backlog)?;
    Ok(Opened::Unix {
        file: Some(file),
        listener: UnixListener::from(socket),
        shared: false,
    })
}

/// Give the socket its path and its mode.
fn make(
    path: &Path,
    socket: &OwnedFd,
    address: &SocketAddrUnix,
    mode: Option<Mode>,
    shown: &str,
) -> Result<SocketFile, SourceError> {
    // The file begins with what the umask leaves of the socket's mode: with no more than it is to have.
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

/// Take a socket away that nobody serves any more. Whatever else is there stays.
fn make_way(path: &Path, address: &SocketAddrUnix, shown: &str) -> Result<(), SourceError> {
    let found = look(path).map_err(|error| failed(format!("look at {path:?}"), error))?;
    let identity = match found {
        FoundAtPath::Nothing => return Ok(()),
        FoundAtPath::Socket(identity) => identity,
        FoundAtPath::Other(what) => {
            let path = path.to_owned();
            return Err(SourceError::NotASocketFile { path, what });
        }
    };
    match rustix::net::connect(&socket()?, address) {
        // Nobody has it open, or nobody listens.
        Err(Errno::CONNREFUSED) => remove(path, identity)
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
