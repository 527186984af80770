//! The classes of accept errors.

use wasi::sockets::network::ErrorCode;

/// The class of an error that `wasi:sockets/tcp#accept` has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The error concerns one peer. Accepting continues at once.
    Peer,
    /// A resource is exhausted. The listener backs off and tries again.
    Resource,
    /// The socket can never accept again. The listener stops.
    Fatal,
}

/// Returns the class of an accept error.
///
/// The match has no wildcard, so that a code which a later wasi-sockets adds does not compile without a class.
/// `would-block` is not an error, and callers handle it first; if it is passed all the same, backing off is
/// harmless.
pub fn classify(code: ErrorCode) -> Class {
    match code {
        ErrorCode::ConnectionAborted
        | ErrorCode::ConnectionReset
        | ErrorCode::ConnectionRefused
        | ErrorCode::RemoteUnreachable
        | ErrorCode::Timeout
        | ErrorCode::AccessDenied => Class::Peer,

        ErrorCode::InvalidState | ErrorCode::InvalidArgument | ErrorCode::NotSupported => {
            Class::Fatal
        }

        // Stock wasmtime reports EMFILE and ENFILE as `unknown`.
        ErrorCode::Unknown
        | ErrorCode::NewSocketLimit
        | ErrorCode::OutOfMemory
        | ErrorCode::WouldBlock
        | ErrorCode::ConcurrencyConflict
        | ErrorCode::NotInProgress
        | ErrorCode::AddressNotBindable
        | ErrorCode::AddressInUse
        | ErrorCode::DatagramTooLarge
        | ErrorCode::NameUnresolvable
        | ErrorCode::TemporaryResolverFailure
        | ErrorCode::PermanentResolverFailure => Class::Resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_peer_are_of_the_class_peer() {
        for code in [
            ErrorCode::ConnectionAborted,
            ErrorCode::ConnectionReset,
            ErrorCode::ConnectionRefused,
            ErrorCode::RemoteUnreachable,
            ErrorCode::Timeout,
            ErrorCode::AccessDenied,
        ] {
            assert_eq!(classify(code), Class::Peer, "{code:?}");
        }
    }

    #[test]
    fn errors_of_the_socket_are_fatal() {
        for code in [
            ErrorCode::InvalidState,
            ErrorCode::InvalidArgument,
            ErrorCode::NotSupported,
        ] {
            assert_eq!(classify(code), Class::Fatal, "{code:?}");
        }
    }

    #[test]
    fn exhausted_resources_are_temporary() {
        for code in [
            ErrorCode::NewSocketLimit,
            ErrorCode::OutOfMemory,
            ErrorCode::Unknown,
        ] {
            assert_eq!(classify(code), Class::Resource, "{code:?}");
        }
    }
}
