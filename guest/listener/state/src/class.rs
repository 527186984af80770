//! What an error of accept means for the listener.

use wasi::sockets::network::ErrorCode;

/// The three classes of errors that `wasi:sockets/tcp#accept` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One peer's own: the next one may be fine, so accepting goes on at once.
    Peer,
    /// Something ran out: accepting is tried again after a while.
    Resource,
    /// The socket cannot accept, now or ever.
    Fatal,
}

/// The class of an error that accept returned.
///
/// Every code is named, so that a code which a later wasi-sockets adds must be given a class.
/// `would-block` is no error: whoever accepts deals with it first. Should it come here all the
/// same, waiting a little is right.
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
    fn a_peer_that_went_away_is_the_peers_error() {
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
    fn a_socket_that_cannot_accept_is_fatal() {
        for code in [
            ErrorCode::InvalidState,
            ErrorCode::InvalidArgument,
            ErrorCode::NotSupported,
        ] {
            assert_eq!(classify(code), Class::Fatal, "{code:?}");
        }
    }

    #[test]
    fn running_out_is_temporary() {
        for code in [
            ErrorCode::NewSocketLimit,
            ErrorCode::OutOfMemory,
            ErrorCode::Unknown,
        ] {
            assert_eq!(classify(code), Class::Resource, "{code:?}");
        }
    }
}
