//! Conversions of WASI's errors to those of the standard library.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use wasi::io::streams::StreamError;
use wasi::sockets::network::ErrorCode;

/// An error code of wasi-sockets as an error. The [`io::Error`]s of this crate that come from a socket contain
/// one.
///
/// ```
/// use evconn_guest::{ErrorCode, SocketError};
///
/// let error = std::io::Error::from(SocketError(ErrorCode::AddressInUse));
/// assert_eq!(error.to_string(), "the address is in use");
/// let inside = error.get_ref().and_then(|error| error.downcast_ref::<SocketError>());
/// assert_eq!(inside.map(|error| error.0), Some(ErrorCode::AddressInUse));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SocketError(
    /// The code.
    pub ErrorCode,
);

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ErrorCode::Unknown => "unknown error",
            ErrorCode::AccessDenied => "access is not granted",
            ErrorCode::NotSupported => "not supported",
            ErrorCode::InvalidArgument => "invalid argument",
            ErrorCode::OutOfMemory => "out of memory",
            ErrorCode::Timeout => "timed out",
            ErrorCode::ConcurrencyConflict => "another operation is in progress",
            ErrorCode::NotInProgress => "no operation is in progress",
            ErrorCode::WouldBlock => "would block",
            ErrorCode::InvalidState => "not possible in this state",
            ErrorCode::NewSocketLimit => "too many open sockets",
            ErrorCode::AddressNotBindable => "the address cannot be bound",
            ErrorCode::AddressInUse => "the address is in use",
            ErrorCode::RemoteUnreachable => "the peer cannot be reached",
            ErrorCode::ConnectionRefused => "connection refused",
            ErrorCode::ConnectionReset => "connection reset by the peer",
            ErrorCode::ConnectionAborted => "connection aborted",
            ErrorCode::DatagramTooLarge => "the datagram is too large",
            ErrorCode::NameUnresolvable => "the name has no address",
            ErrorCode::TemporaryResolverFailure => "the name cannot be looked up at the moment",
            ErrorCode::PermanentResolverFailure => "the name cannot be looked up",
        })
    }
}

impl Error for SocketError {}

impl From<SocketError> for io::Error {
    fn from(error: SocketError) -> Self {
        Self::new(kind(error.0), error)
    }
}

fn kind(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::AccessDenied => ErrorKind::PermissionDenied,
        ErrorCode::NotSupported => ErrorKind::Unsupported,
        ErrorCode::InvalidArgument => ErrorKind::InvalidInput,
        ErrorCode::OutOfMemory => ErrorKind::OutOfMemory,
        ErrorCode::Timeout => ErrorKind::TimedOut,
        ErrorCode::WouldBlock => ErrorKind::WouldBlock,
        ErrorCode::AddressNotBindable => ErrorKind::AddrNotAvailable,
        ErrorCode::AddressInUse => ErrorKind::AddrInUse,
        ErrorCode::RemoteUnreachable => ErrorKind::HostUnreachable,
        ErrorCode::ConnectionRefused => ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionReset => ErrorKind::ConnectionReset,
        ErrorCode::ConnectionAborted => ErrorKind::ConnectionAborted,
        ErrorCode::NameUnresolvable => ErrorKind::NotFound,
        ErrorCode::Unknown
        | ErrorCode::ConcurrencyConflict
        | ErrorCode::NotInProgress
        | ErrorCode::InvalidState
        | ErrorCode::NewSocketLimit
        | ErrorCode::DatagramTooLarge
        | ErrorCode::TemporaryResolverFailure
        | ErrorCode::PermanentResolverFailure => ErrorKind::Other,
    }
}

pub(crate) fn of_socket(code: ErrorCode) -> io::Error {
    SocketError(code).into()
}

/// Converts the error of a write. For a write, a closed stream is an error.
pub(crate) fn of_output(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => of_stream(&error),
    }
}

/// Converts the error of a stream. WASI describes it by a text for a program's log, and has no code for it.
pub(crate) fn of_stream(error: &wasi::io::error::Error) -> io::Error {
    io::Error::other(error.to_debug_string())
}
