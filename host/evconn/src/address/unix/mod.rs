//! What only Unix has: sockets with a path ([`path`]) or an abstract name ([`name`]), and sockets
//! inherited from another program ([`inherited`]).

mod file;
mod inherited;
mod lock;
mod name;
mod path;

pub use file::SocketFile;
pub use inherited::claim_inherited_descriptors;
pub(super) use inherited::take;
pub(super) use name::write_name;

use super::{Opened, SourceError, UnixName, UnixSource};
use rustix::net::SocketAddrUnix;
use socket2::{Domain, Socket, Type};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

/// Creates a listening Unix socket with an accept queue of `backlog` connections.
pub(super) fn bind(source: &UnixSource, backlog: NonZeroU32) -> Result<Opened, SourceError> {
    match &source.name {
        UnixName::Path(path) => path::bind(path, source.mode, backlog),
        UnixName::Abstract(name) => name::bind(name, backlog),
    }
}

/// Makes a Unix socket that has no name yet. Programs that this process starts do not inherit it.
fn socket() -> Result<OwnedFd, SourceError> {
    let nonblocking = |socket: Socket| {
        socket.set_nonblocking(true)?;
        Ok(OwnedFd::from(socket))
    };
    Socket::new(Domain::UNIX, Type::STREAM, None)
        .and_then(nonblocking)
        .map_err(|error| failed("create a socket".to_owned(), error))
}

/// Starts listening: from now on peers can connect.
fn listen(socket: &OwnedFd, source: &str, backlog: NonZeroU32) -> Result<(), SourceError> {
    let backlog = i32::try_from(backlog.get()).unwrap_or(i32::MAX);
    rustix::net::listen(socket, backlog)
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
