//! The classes of accept errors, and those of WASI 0.2.

use wasi::sockets::network::ErrorCode;

/// The class of an error of accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The error concerns one peer. Accepting continues at once.
    Peer,
    /// A resource is exhausted. The listener backs off and tries again.
    Resource,
    /// The socket can never accept again. The listener stops.
    Fatal,
}

/// An error code of wasi-sockets, in one of its versions.
pub trait AcceptError: Clone {
    /// The code for a call that the state does not allow.
    const INVALID_STATE: Self;

    /// Returns the class of this code, as an error of accept.
    fn class(&self) -> Class;
}

impl AcceptError for ErrorCode {
    const INVALID_STATE: Self = Self::InvalidState;

    /// The match has no wildcard, so that a code which a later wasi-sockets adds does not compile without a class.
    /// `would-block` is not an error, and callers handle it first; if it is passed all the same, backing off is
    /// harmless.
    fn class(&self) -> Class {
        match self {
            Self::ConnectionAborted
            | Self::ConnectionReset
            | Self::ConnectionRefused
            | Self::RemoteUnreachable
            | Self::Timeout
            | Self::AccessDenied => Class::Peer,

            Self::InvalidState | Self::InvalidArgument | Self::NotSupported => Class::Fatal,

            // Stock wasmtime reports EMFILE and ENFILE as `unknown`.
            Self::Unknown
            | Self::NewSocketLimit
            | Self::OutOfMemory
            | Self::WouldBlock
            | Self::ConcurrencyConflict
            | Self::NotInProgress
            | Self::AddressNotBindable
            | Self::AddressInUse
            | Self::DatagramTooLarge
            | Self::NameUnresolvable
            | Self::TemporaryResolverFailure
            | Self::PermanentResolverFailure => Class::Resource,
        }
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
            assert_eq!(code.class(), Class::Peer, "{code:?}");
        }
    }

    #[test]
    fn errors_of_the_socket_are_fatal() {
        for code in [
            ErrorCode::InvalidState,
            ErrorCode::InvalidArgument,
            ErrorCode::NotSupported,
        ] {
            assert_eq!(code.class(), Class::Fatal, "{code:?}");
        }
    }

    #[test]
    fn exhausted_resources_are_temporary() {
        for code in [
            ErrorCode::NewSocketLimit,
            ErrorCode::OutOfMemory,
            ErrorCode::Unknown,
        ] {
            assert_eq!(code.class(), Class::Resource, "{code:?}");
        }
    }
}
