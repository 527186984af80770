//! What can go wrong, in the words of the people who can mend it.

mod load;

pub(crate) use load::one_line;
pub use load::{LoadError, LoadProblem};

use crate::{GuestTrap, ListenSource, SourceError};
use std::fmt;
use std::net::SocketAddr;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode as WasiErrorCode;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener refused, or the sockets below it did.
    #[error(transparent)]
    Socket(#[from] ErrorCode),
    /// One of the places that a server was to listen on cannot be had.
    #[error("cannot listen on {place}: {code}{}", help(.place.port(), *.code))]
    Listen {
        /// Where it was to listen.
        place: ListenSource,
        /// What the listener said.
        code: ErrorCode,
    },
    /// The same, of one of several addresses that were to be listened on.
    #[error("{address}: {code}{}", help(Some(.address.port()), *.code))]
    Address {
        /// The address, with the port that was tried.
        address: SocketAddr,
        /// What the operating system says.
        code: ErrorCode,
    },
    /// There is nothing to listen on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No engine can be had with these settings on this machine.
    #[error("cannot set up WebAssembly: {0:#}")]
    Engine(anyhow::Error),
    /// This is no component, or not one that can be served.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The listener component itself failed. Its listener is closed.
    #[error("the listener component failed: {0}")]
    Acceptor(String),
    /// A program trapped. Where in it that happened is its [`backtrace`](Self::backtrace).
    #[error("the program failed: {0}")]
    Program(GuestTrap),
    /// The listener was closed while it was still needed.
    #[error("the listener is closed")]
    Closed,
    /// More connections at a time were asked for than the host has room for.
    #[error(
        "at most {capacity} connections at a time were prepared for, but {asked} were asked for: \
         make the host with max_connections({asked})"
    )]
    TooManyConnections {
        /// `Limits::max_connections`.
        asked: usize,
        /// `HostBuilder::max_connections`.
        capacity: usize,
    },
    /// More connections at a time were asked for than there are pooled memories for.
    #[error(
        "an instance of the service has {memories} memories, of which there are enough for {capacity} \
         connections at a time, but {asked} were asked for: lower max_connections"
    )]
    TooManyMemories {
        /// `Limits::max_connections`.
        asked: usize,
        /// `Service::max_connections`.
        capacity: usize,
        /// `Service::memories`.
        memories: usize,
    },
    /// A connection was to be allowed more than the host has room for.
    #[error(
        "{limit} is at most {capacity} on this host, but {asked} was asked for: make the host with \
         these limits"
    )]
    LimitTooHigh {
        /// The name of the field of [`Limits`](crate::Limits).
        limit: &'static str,
        /// Its value there.
        asked: usize,
        /// Its value in `HostBuilder::limits`.
        capacity: usize,
    },
}

impl Error {
    /// Where in the program it trapped ([`GuestTrap::backtrace`]). None if it is no error of a program.
    pub fn backtrace(&self) -> Option<String> {
        match self {
            Self::Program(trap) => trap.backtrace(),
            _ => None,
        }
    }
}

/// What helps against a refused port.
fn help(port: Option<u16>, code: ErrorCode) -> &'static str {
    match (port, code) {
        (Some(1..1024), ErrorCode::AccessDenied) => {
            ": take a port from 1024 on, or allow lower ones with `setcap cap_net_bind_service=+ep` on \
             evconn's file or with `sysctl net.ipv4.ip_unprivileged_port_start`, or have systemd pass the \
             socket"
        }
        _ => "",
    }
}

/// An error of a socket: the codes of `wasi:sockets/network` that a listener can meet.
///
/// What is displayed is the operating system's usual wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorCode {
    /// EACCES, EPERM, or the host does not grant it.
    AccessDenied,
    /// EADDRINUSE, or no ephemeral port is free.
    AddressInUse,
    /// EADDRNOTAVAIL: not an address of this machine.
    AddressNotBindable,
    /// ECONNABORTED.
    ConnectionAborted,
    /// ECONNREFUSED.
    ConnectionRefused,
    /// ECONNRESET.
    ConnectionReset,
    /// EINVAL: an address or a value that cannot be meant.
    InvalidArgument,
    /// The socket or the listener is in a state in which this cannot be done.
    InvalidState,
    /// EMFILE, ENFILE.
    NewSocketLimit,
    /// EOPNOTSUPP, EAFNOSUPPORT: an option or an address family that is not to be had.
    NotSupported,
    /// ENOMEM, ENOBUFS.
    OutOfMemory,
    /// EHOSTUNREACH, ENETUNREACH.
    RemoteUnreachable,
    /// ETIMEDOUT.
    Timeout,
    /// An error that WASI has no name for. wasmtime's own sockets report EMFILE and ENFILE so.
    Unknown,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessDenied => "Permission denied",
            Self::AddressInUse => "Address already in use",
            Self::AddressNotBindable => "Cannot assign requested address",
            Self::ConnectionAborted => "Software caused connection abort",
            Self::ConnectionRefused => "Connection refused",
            Self::ConnectionReset => "Connection reset by peer",
            Self::InvalidArgument => "Invalid argument",
            Self::InvalidState => "Invalid state",
            Self::NewSocketLimit => "Too many open files",
            Self::NotSupported => "Operation not supported",
            Self::OutOfMemory => "Cannot allocate memory",
            Self::RemoteUnreachable => "No route to host",
            Self::Timeout => "Connection timed out",
            Self::Unknown => "Unknown error (out of file descriptors, perhaps)",
        })
    }
}

impl From<WasiErrorCode> for ErrorCode {
    fn from(code: WasiErrorCode) -> Self {
        match code {
            WasiErrorCode::AccessDenied => Self::AccessDenied,
            WasiErrorCode::AddressInUse => Self::AddressInUse,
            WasiErrorCode::AddressNotBindable => Self::AddressNotBindable,
            WasiErrorCode::ConnectionAborted => Self::ConnectionAborted,
            WasiErrorCode::ConnectionRefused => Self::ConnectionRefused,
            WasiErrorCode::ConnectionReset => Self::ConnectionReset,
            WasiErrorCode::InvalidArgument => Self::InvalidArgument,
            WasiErrorCode::InvalidState => Self::InvalidState,
            WasiErrorCode::NewSocketLimit => Self::NewSocketLimit,
            WasiErrorCode::NotSupported => Self::NotSupported,
            WasiErrorCode::OutOfMemory => Self::OutOfMemory,
            WasiErrorCode::RemoteUnreachable => Self::RemoteUnreachable,
            WasiErrorCode::Timeout => Self::Timeout,
            // The rest are states of a socket that the listener deals with itself, datagrams and
            // name look-up: accept and bind do not return them.
            WasiErrorCode::Unknown
            | WasiErrorCode::ConcurrencyConflict
            | WasiErrorCode::DatagramTooLarge
            | WasiErrorCode::NameUnresolvable
            | WasiErrorCode::NotInProgress
            | WasiErrorCode::PermanentResolverFailure
            | WasiErrorCode::TemporaryResolverFailure
            | WasiErrorCode::WouldBlock => Self::Unknown,
        }
    }
}

impl From<ErrorCode> for std::io::Error {
    fn from(code: ErrorCode) -> Self {
        use std::io::ErrorKind;
        let kind = match code {
            ErrorCode::AccessDenied => ErrorKind::PermissionDenied,
            ErrorCode::AddressInUse => ErrorKind::AddrInUse,
            ErrorCode::AddressNotBindable => ErrorKind::AddrNotAvailable,
            ErrorCode::ConnectionAborted => ErrorKind::ConnectionAborted,
            ErrorCode::ConnectionRefused => ErrorKind::ConnectionRefused,
            ErrorCode::ConnectionReset => ErrorKind::ConnectionReset,
            ErrorCode::InvalidArgument => ErrorKind::InvalidInput,
            ErrorCode::InvalidState => ErrorKind::NotConnected,
            ErrorCode::NotSupported => ErrorKind::Unsupported,
            ErrorCode::OutOfMemory => ErrorKind::OutOfMemory,
            ErrorCode::RemoteUnreachable => ErrorKind::HostUnreachable,
            ErrorCode::Timeout => ErrorKind::TimedOut,
            ErrorCode::NewSocketLimit | ErrorCode::Unknown => ErrorKind::Other,
        };
        Self::new(kind, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(place: &str, code: ErrorCode) -> String {
        let place = place.parse().expect("a source");
        Error::Listen { place, code }.to_string()
    }

    #[test]
    fn what_helps_against_a_low_port_is_said_where_it_helps() {
        for place in ["127.0.0.1:80", ":443", "localhost:1023"] {
            let text = listen(place, ErrorCode::AccessDenied);
            assert!(text.contains(": Permission denied: take a port"), "{text}");
            assert!(text.contains("cap_net_bind_service") && !text.contains('\n'));
        }
        for (place, code) in [
            ("127.0.0.1:1024", ErrorCode::AccessDenied),
            ("unix:/run/a", ErrorCode::AccessDenied),
            ("127.0.0.1:80", ErrorCode::AddressInUse),
        ] {
            assert_eq!(
                listen(place, code),
                format!("cannot listen on {place}: {code}")
            );
        }
    }
}
