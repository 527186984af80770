//! The errors of WASI 0.3's sockets, as those of the standard library.

use super::ErrorCode;
use std::io;

impl From<ErrorCode> for io::Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Other(Some(text)) => Self::other(text),
            other => kind(&other).into(),
        }
    }
}

fn kind(code: &ErrorCode) -> io::ErrorKind {
    match code {
        ErrorCode::AccessDenied => io::ErrorKind::PermissionDenied,
        ErrorCode::NotSupported => io::ErrorKind::Unsupported,
        ErrorCode::InvalidArgument | ErrorCode::InvalidState => io::ErrorKind::InvalidInput,
        ErrorCode::OutOfMemory => io::ErrorKind::OutOfMemory,
        ErrorCode::Timeout => io::ErrorKind::TimedOut,
        ErrorCode::AddressNotBindable => io::ErrorKind::AddrNotAvailable,
        ErrorCode::AddressInUse => io::ErrorKind::AddrInUse,
        ErrorCode::RemoteUnreachable => io::ErrorKind::HostUnreachable,
        ErrorCode::ConnectionRefused => io::ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionBroken => io::ErrorKind::UnexpectedEof,
        ErrorCode::ConnectionReset => io::ErrorKind::ConnectionReset,
        ErrorCode::ConnectionAborted => io::ErrorKind::ConnectionAborted,
        ErrorCode::DatagramTooLarge => io::ErrorKind::FileTooLarge,
        ErrorCode::Other(_) => io::ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_an_error_of_the_standard_library() {
        let error = io::Error::from(ErrorCode::ConnectionReset);
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = io::Error::from(ErrorCode::Other(Some("no luck".to_owned())));
        assert_eq!(error.to_string(), "no luck");
    }
}
