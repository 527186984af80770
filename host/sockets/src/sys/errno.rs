//! The operating system's errors in the words of `wasi:sockets`.

use crate::error::ErrorCode;
use rustix::io::Errno;
use std::io;

/// The code of an error that means the same whichever call it comes from.
impl From<&io::Error> for ErrorCode {
    fn from(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => errno.into(),
            None => code_of_kind(error.kind()),
        }
    }
}

impl From<io::Error> for ErrorCode {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<Errno> for ErrorCode {
    fn from(errno: Errno) -> Self {
        code_of_errno(errno)
    }
}

fn code_of_errno(errno: Errno) -> ErrorCode {
    match errno {
        Errno::ACCESS => ErrorCode::AccessDenied,
        Errno::ADDRINUSE => ErrorCode::AddressInUse,
        Errno::ADDRNOTAVAIL => ErrorCode::AddressNotBindable,
        Errno::TIMEDOUT => ErrorCode::Timeout,
        Errno::CONNREFUSED => ErrorCode::ConnectionRefused,
        Errno::CONNRESET | Errno::NETRESET => ErrorCode::ConnectionReset,
        Errno::CONNABORTED => ErrorCode::ConnectionAborted,
        Errno::INVAL => ErrorCode::InvalidArgument,
        Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::NETUNREACH | Errno::NETDOWN => {
            ErrorCode::RemoteUnreachable
        }
        #[cfg(target_os = "linux")]
        Errno::NONET => ErrorCode::RemoteUnreachable,
        Errno::ISCONN | Errno::NOTCONN | Errno::DESTADDRREQ => ErrorCode::InvalidState,
        Errno::MFILE => ErrorCode::NewSocketLimit,
        Errno::NOBUFS => ErrorCode::OutOfMemory,
        Errno::OPNOTSUPP
        | Errno::NOPROTOOPT
        | Errno::PFNOSUPPORT
        | Errno::AFNOSUPPORT
        | Errno::PROTONOSUPPORT
        | Errno::PROTOTYPE
        | Errno::SOCKTNOSUPPORT => ErrorCode::NotSupported,
        Errno::ALREADY => ErrorCode::ConcurrencyConflict,
        Errno::AGAIN => ErrorCode::WouldBlock,
        other => code_of_unix_errno(other).unwrap_or_else(|| {
            tracing::debug!("an error that wasi:sockets has no name for: {other}");
            ErrorCode::Unknown
        }),
    }
}

/// What Windows does not have.
#[cfg(not(windows))]
fn code_of_unix_errno(errno: Errno) -> Option<ErrorCode> {
    match errno {
        Errno::PERM => Some(ErrorCode::AccessDenied),
        // The other side is no longer there to be sent anything.
        Errno::PIPE => Some(ErrorCode::ConnectionReset),
        Errno::NFILE => Some(ErrorCode::NewSocketLimit),
        Errno::NOMEM => Some(ErrorCode::OutOfMemory),
        _ => None,
    }
}

#[cfg(windows)]
fn code_of_unix_errno(_errno: Errno) -> Option<ErrorCode> {
    None
}

/// Of errors that are not the operating system's, such as those of TLS.
fn code_of_kind(kind: io::ErrorKind) -> ErrorCode {
    use io::ErrorKind;
    match kind {
        ErrorKind::PermissionDenied => ErrorCode::AccessDenied,
        ErrorKind::TimedOut => ErrorCode::Timeout,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ErrorCode::ConnectionReset,
        ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
            ErrorCode::ConnectionAborted
        }
        ErrorKind::NotConnected => ErrorCode::InvalidState,
        ErrorKind::OutOfMemory => ErrorCode::OutOfMemory,
        ErrorKind::WouldBlock => ErrorCode::WouldBlock,
        // An option that this system does not have.
        ErrorKind::Unsupported => ErrorCode::NotSupported,
        _ => ErrorCode::Unknown,
    }
}

/// Of bind, where some errors mean something of their own.
pub fn code_of_bind(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        // The address is of another family than the socket.
        Some(Errno::AFNOSUPPORT) => ErrorCode::InvalidArgument,
        _ => error.into(),
    }
}

/// Of connect, where some errors mean something of their own.
pub fn code_of_connect(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        // Linux, when no ephemeral port is left.
        Some(Errno::ADDRNOTAVAIL) => ErrorCode::AddressInUse,
        Some(Errno::AFNOSUPPORT) => ErrorCode::InvalidArgument,
        _ => error.into(),
    }
}

/// Of accept. Linux passes on errors that are pending on the new connection: they are the end of that
/// connection, and say nothing of the listener (accept(2), "Error handling").
pub fn code_of_accept(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        Some(
            Errno::CONNRESET
            | Errno::NETRESET
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::TIMEDOUT,
        ) => ErrorCode::ConnectionAborted,
        #[cfg(not(windows))]
        Some(Errno::PROTO) => ErrorCode::ConnectionAborted,
        #[cfg(target_os = "linux")]
        Some(Errno::NONET) => ErrorCode::ConnectionAborted,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn a_lack_of_descriptors_is_the_socket_limit() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert_eq!(code_of_accept(&os(errno)), ErrorCode::NewSocketLimit);
            assert_eq!(ErrorCode::from(os(errno)), ErrorCode::NewSocketLimit);
        }
    }

    #[test]
    fn an_option_that_the_system_does_not_have_is_not_supported() {
        let error = io::Error::from(io::ErrorKind::Unsupported);
        assert_eq!(ErrorCode::from(error), ErrorCode::NotSupported);
    }

    #[test]
    fn what_is_pending_on_a_new_connection_ends_that_one() {
        assert_eq!(
            code_of_accept(&os(Errno::HOSTUNREACH)),
            ErrorCode::ConnectionAborted
        );
        assert_eq!(
            code_of_connect(&os(Errno::HOSTUNREACH)),
            ErrorCode::RemoteUnreachable
        );
    }

    #[test]
    fn an_address_that_is_not_available_depends_on_the_call() {
        let error = os(Errno::ADDRNOTAVAIL);
        assert_eq!(code_of_bind(&error), ErrorCode::AddressNotBindable);
        assert_eq!(code_of_connect(&error), ErrorCode::AddressInUse);
    }
}
