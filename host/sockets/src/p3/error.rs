//! This crate's own types as the WIT has them.

use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use std::io;
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup, types};

impl From<ErrorCode> for types::ErrorCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::AccessDenied => Self::AccessDenied,
            ErrorCode::NotSupported => Self::NotSupported,
            ErrorCode::InvalidArgument => Self::InvalidArgument,
            ErrorCode::OutOfMemory => Self::OutOfMemory,
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::ConcurrencyConflict | ErrorCode::NotInProgress | ErrorCode::InvalidState => {
                Self::InvalidState
            }
            ErrorCode::AddressNotBindable => Self::AddressNotBindable,
            ErrorCode::AddressInUse => Self::AddressInUse,
            ErrorCode::RemoteUnreachable => Self::RemoteUnreachable,
            ErrorCode::ConnectionRefused => Self::ConnectionRefused,
            ErrorCode::ConnectionReset => Self::ConnectionReset,
            ErrorCode::ConnectionAborted => Self::ConnectionAborted,
            ErrorCode::DatagramTooLarge => Self::DatagramTooLarge,
            ErrorCode::Unknown => Self::Other(None),
            ErrorCode::NewSocketLimit
            | ErrorCode::WouldBlock
            | ErrorCode::NameUnresolvable
            | ErrorCode::TemporaryResolverFailure
            | ErrorCode::PermanentResolverFailure => Self::Other(Some(code.to_string())),
        }
    }
}

impl From<ErrorCode> for ip_name_lookup::ErrorCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::AccessDenied => Self::AccessDenied,
            ErrorCode::InvalidArgument => Self::InvalidArgument,
            ErrorCode::NameUnresolvable => Self::NameUnresolvable,
            ErrorCode::TemporaryResolverFailure => Self::TemporaryResolverFailure,
            ErrorCode::PermanentResolverFailure => Self::PermanentResolverFailure,
            ErrorCode::Unknown => Self::Other(None),
            ErrorCode::NotSupported
            | ErrorCode::OutOfMemory
            | ErrorCode::Timeout
            | ErrorCode::ConcurrencyConflict
            | ErrorCode::NotInProgress
            | ErrorCode::WouldBlock
            | ErrorCode::InvalidState
            | ErrorCode::NewSocketLimit
            | ErrorCode::AddressNotBindable
            | ErrorCode::AddressInUse
            | ErrorCode::RemoteUnreachable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionReset
            | ErrorCode::ConnectionAborted
            | ErrorCode::DatagramTooLarge => Self::Other(Some(code.to_string())),
        }
    }
}

/// The code of an error of sending: nothing can be written any more, or what else has happened.
pub fn code_of_send(error: &io::Error) -> types::ErrorCode {
    match error.kind() {
        io::ErrorKind::BrokenPipe => types::ErrorCode::ConnectionBroken,
        _ => ErrorCode::from(error).into(),
    }
}

/// The code of an error of receiving.
pub fn code_of_receive(error: &io::Error) -> types::ErrorCode {
    ErrorCode::from(error).into()
}

impl From<types::IpAddressFamily> for IpAddressFamily {
    fn from(family: types::IpAddressFamily) -> Self {
        match family {
            types::IpAddressFamily::Ipv4 => Self::Ipv4,
            types::IpAddressFamily::Ipv6 => Self::Ipv6,
        }
    }
}

impl From<IpAddressFamily> for types::IpAddressFamily {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::Ipv4,
            IpAddressFamily::Ipv6 => Self::Ipv6,
        }
    }
}
