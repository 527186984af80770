//! The errors of this crate. They are written for the people who can fix them.

mod load;

pub use load::{LoadError, LoadProblem};
pub(crate) use load::{one_line, shortened};

use crate::sockets::ErrorCode as SocketsErrorCode;
use crate::{GuestTrap, ListenSource, SourceError};
use std::fmt;
use std::net::SocketAddr;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode as WasiErrorCode;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener, or a socket that it uses, reports an error.
    #[error(transparent)]
    Socket(#[from] ErrorCode),
    /// A server cannot listen on one of its sources.
    #[error("cannot listen on {place}: {code}{}", help(.place.port(), *.code))]
    Listen {
        /// The source.
        place: ListenSource,
        /// The listener's error.
        code: ErrorCode,
    },
    /// One of several addresses of a source cannot be bound.
    #[error("{address}: {code}{}", help(Some(.address.port()), *.code))]
    Address {
        /// The address, with the port that was tried.
        address: SocketAddr,
        /// The operating system's error.
        code: ErrorCode,
    },
    /// A listen source cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// wasmtime's engines cannot be created with these settings on this machine.
    #[error("cannot set up WebAssembly: {0:#}")]
    Engine(anyhow::Error),
    /// The component cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The listener component failed. Its listener is closed.
    #[error("the listener component failed: {0}")]
    Acceptor(String),
    /// A program trapped. [`backtrace`](Self::backtrace) returns where.
    #[error("the program failed: {0}")]
    Program(GuestTrap),
    /// The listener was closed.
    #[error("the listener is closed")]
    Closed,
    /// More connections at a time were requested than the host was built for.
    #[error(
        "the host was built for {capacity} connections at a time, but {asked} were requested: build it \
         with max_connections({asked})"
    )]
    TooManyConnections {
        /// `Limits::max_connections`.
        asked: usize,
        /// `HostBuilder::max_connections`.
        capacity: usize,
    },
    /// More instances at a time were requested than there are pooled memories for.
    #[error(
        "an instance of the service has {memories} memories, which allows {capacity} instances at a \
         time, but {asked} were requested: lower max_connections, or max_instances if connections share them"
    )]
    TooManyMemories {
        /// `Limits::max_connections`, or `InstancePolicy::max_instances`.
        asked: usize,
        /// `Service::max_instances`.
        capacity: usize,
        /// `Service::memories`.
        memories: usize,
    },
    /// No instance could be made ahead of the connections that it is for.
    #[error("cannot make an instance ahead of connections (warm): {reason}")]
    NotWarm {
        /// Why, and what to do about it.
        reason: String,
    },
    /// Several connections at a time were requested for each instance of a service that serves one.
    #[error(
        "an instance of this service serves one connection at a time, not {asked}: its handler is a synchronous \
         function of WASI 0.2; serve a program (wasi:cli/run) or a handler of WASI 0.3, or use more instances (max_instances)"
    )]
    NotConcurrent {
        /// `InstancePolicy::concurrency`.
        asked: u32,
    },
    /// A higher limit was requested than the host was built for.
    #[error(
        "the host was built for a {limit} of {capacity}, but {asked} was requested: build it with these \
         limits"
    )]
    LimitTooHigh {
        /// The name of the field of [`Limits`](crate::Limits).
        limit: &'static str,
        /// The requested value.
        asked: usize,
        /// Its value in `HostBuilder::limits`.
        capacity: usize,
    },
}

impl Error {
    /// Returns where a program trapped ([`GuestTrap::backtrace`]), or None for other errors.
    pub fn backtrace(&self) -> Option<String> {
        match self {
            Self::Program(trap) => trap.backtrace(),
            _ => None,
        }
    }

    /// Adds the source that was to be listened on.
    pub(crate) fn at(self, source: &ListenSource) -> Self {
        match self {
            Self::Socket(code) => Self::Listen {
                place: source.clone(),
                code,
            },
            // It is one of the addresses of a host name.
            Self::Address { address, code } => Self::Listen {
                place: ListenSource::Address(address),
                code,
            },
            error => error,
        }
    }
}

/// Returns what helps if a port is refused.
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

/// An error of a socket: the codes of `wasi:sockets/network` that concern a listener.
///
/// It is displayed in the operating system's usual wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorCode {
    /// EACCES, EPERM, or not granted by the host.
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
    /// EINVAL: an invalid address or value.
    InvalidArgument,
    /// The state of the socket or the listener does not allow this.
    InvalidState,
    /// EMFILE, ENFILE.
    NewSocketLimit,
    /// EOPNOTSUPP, EAFNOSUPPORT: the option or the address family is not supported.
    NotSupported,
    /// ENOMEM, ENOBUFS.
    OutOfMemory,
    /// EHOSTUNREACH, ENETUNREACH.
    RemoteUnreachable,
    /// ETIMEDOUT.
    Timeout,
    /// An error without a code in WASI. wasmtime's own sockets report EMFILE and ENFILE in this way.
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
            // The other codes are states of a socket that the listener handles itself, and errors of
            // datagrams and name look-up: accept and bind do not return them.
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

impl From<SocketsErrorCode> for ErrorCode {
    fn from(code: SocketsErrorCode) -> Self {
        WasiErrorCode::from(code).into()
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
