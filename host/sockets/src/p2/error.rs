//! This crate's own types as the WIT has them.

use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use wasmtime_wasi::p2::SocketError;
use wasmtime_wasi::p2::bindings::sockets::network;

impl From<ErrorCode> for network::ErrorCode {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Unknown => Self::Unknown,
            ErrorCode::AccessDenied => Self::AccessDenied,
            ErrorCode::NotSupported => Self::NotSupported,
            ErrorCode::InvalidArgument => Self::InvalidArgument,
            ErrorCode::OutOfMemory => Self::OutOfMemory,
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::ConcurrencyConflict => Self::ConcurrencyConflict,
            ErrorCode::NotInProgress => Self::NotInProgress,
            ErrorCode::WouldBlock => Self::WouldBlock,
            ErrorCode::InvalidState => Self::InvalidState,
            ErrorCode::NewSocketLimit => Self::NewSocketLimit,
            ErrorCode::AddressNotBindable => Self::AddressNotBindable,
            ErrorCode::AddressInUse => Self::AddressInUse,
            ErrorCode::RemoteUnreachable => Self::RemoteUnreachable,
            ErrorCode::ConnectionRefused => Self::ConnectionRefused,
            ErrorCode::ConnectionReset => Self::ConnectionReset,
            ErrorCode::ConnectionAborted => Self::ConnectionAborted,
            ErrorCode::DatagramTooLarge => Self::DatagramTooLarge,
            ErrorCode::NameUnresolvable => Self::NameUnresolvable,
            ErrorCode::TemporaryResolverFailure => Self::TemporaryResolverFailure,
            ErrorCode::PermanentResolverFailure => Self::PermanentResolverFailure,
        }
    }
}

impl From<ErrorCode> for SocketError {
    fn from(code: ErrorCode) -> Self {
        network::ErrorCode::from(code).into()
    }
}

impl From<network::IpAddressFamily> for IpAddressFamily {
    fn from(family: network::IpAddressFamily) -> Self {
        match family {
            network::IpAddressFamily::Ipv4 => Self::Ipv4,
            network::IpAddressFamily::Ipv6 => Self::Ipv6,
        }
    }
}

impl From<IpAddressFamily> for network::IpAddressFamily {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::Ipv4,
            IpAddressFamily::Ipv6 => Self::Ipv6,
        }
    }
}
