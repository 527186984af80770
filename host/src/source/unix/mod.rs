//! What only Unix has: sockets with a path ([`path`]), sockets of another program ([`inherited`]),
//! and who the peer of a Unix socket is ([`peer`]).

mod file;
mod inherited;
mod name;
mod path;
mod peer;
#[cfg(test)]
mod scratch;

pub use file::SocketFile;
pub(super) use inherited::take;
pub(super) use name::write_name;
pub use peer::PeerCredentials;

use super::{Opened, SourceError, UnixName, UnixSource};
use rustix::net::SocketAddrUnix;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::OwnedFd;

/// How many connections the kernel may hold, of a socket that is made here. It caps it.
const BACKLOG: i32 = 4096;

/// Make a Unix socket that listens.
pub(super) fn bind(source: &UnixSource) -> Result<Opened, SourceError> {
    match &source.name {
        UnixName::Path(path) => path::bind(path, source.mode),
        UnixName::Abstract(name) => name::bind(name),
    }
}

/// A Unix socket that has no name yet.
fn socket() -> Result<OwnedFd, SourceError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| failed("make a socket".to_owned(), error))
}

/// Let peers connect to it from now on.
fn listen(socket: &OwnedFd, source: &str) -> Result<(), SourceError> {
    rustix::net::listen(socket, BACKLOG)
        .map_err(|error| failed(format!("listen on {source}"), error))
}

fn bind_to(socket: &OwnedFd, address: &SocketAddrUnix, name: &str) -> Result<(), SourceError> {
    rustix::net::bind(socket, address).map_err(|error| match error {
        rustix::io::Errno::ADDRINUSE => SourceError::AddressInUse {
            name: name.to_owned(),
        },
        error => failed(format!("bind unix:{name}"), error),
    })
}

fn failed(what: String, error: impl Into<io::Error>) -> SourceError {
    let error = error.into();
    SourceError::Io { what, error }
}
