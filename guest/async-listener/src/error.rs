//! The classes of accept errors, of WASI 0.3.

use crate::bindings::wasi::sockets::types::ErrorCode;
use evconn_listener_state::{AcceptError, Class};

impl AcceptError for ErrorCode {
    const INVALID_STATE: Self = Self::InvalidState;

    /// The match has no wildcard, so that a code which a later wasi-sockets adds does not compile without a class.
    fn class(&self) -> Class {
        match self {
            Self::ConnectionAborted
            | Self::ConnectionReset
            | Self::ConnectionRefused
            | Self::ConnectionBroken
            | Self::RemoteUnreachable
            | Self::Timeout
            | Self::AccessDenied => Class::Peer,

            Self::InvalidState | Self::InvalidArgument | Self::NotSupported => Class::Fatal,

            // EMFILE and ENFILE are `other`.
            Self::Other(_)
            | Self::OutOfMemory
            | Self::AddressNotBindable
            | Self::AddressInUse
            | Self::DatagramTooLarge => Class::Resource,
        }
    }
}
