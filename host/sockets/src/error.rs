//! Why a call on a socket fails, in the words of `wasi:sockets`.
//!
//! Where it ends: which error of the operating system has which code is in [`sys`](crate::sys).

/// Why a call on a socket fails. The variants are those of `error-code` in `wasi:sockets/network`, which
/// documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the WIT says")]
pub enum ErrorCode {
    #[error("unknown error")]
    Unknown,
    #[error("access denied")]
    AccessDenied,
    #[error("operation not supported")]
    NotSupported,
    #[error("invalid argument")]
    InvalidArgument,
    #[error("out of memory")]
    OutOfMemory,
    #[error("operation timed out")]
    Timeout,
    #[error("incompatible with an operation in progress")]
    ConcurrencyConflict,
    #[error("no operation is in progress")]
    NotInProgress,
    #[error("the operation would block")]
    WouldBlock,
    #[error("not valid in the socket's state")]
    InvalidState,
    #[error("no more sockets can be opened")]
    NewSocketLimit,
    #[error("address cannot be bound")]
    AddressNotBindable,
    #[error("address in use")]
    AddressInUse,
    #[error("remote address not reachable")]
    RemoteUnreachable,
    #[error("connection refused")]
    ConnectionRefused,
    #[error("connection reset")]
    ConnectionReset,
    #[error("connection aborted")]
    ConnectionAborted,
    #[error("datagram too large")]
    DatagramTooLarge,
    #[error("name not resolvable")]
    NameUnresolvable,
    #[error("temporary failure of the name resolver")]
    TemporaryResolverFailure,
    #[error("permanent failure of the name resolver")]
    PermanentResolverFailure,
}
