//! How results are written in lines.

use crate::bindings::wasi::sockets::types::ErrorCode;
use wit_bindgen::StreamResult;

/// `ok`, or the code's name. The text of `other` is nobody's to rely on.
pub fn outcome<T>(result: &Result<T, ErrorCode>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(ErrorCode::AccessDenied) => "access-denied",
        Err(ErrorCode::NotSupported) => "not-supported",
        Err(ErrorCode::InvalidArgument) => "invalid-argument",
        Err(ErrorCode::OutOfMemory) => "out-of-memory",
        Err(ErrorCode::Timeout) => "timeout",
        Err(ErrorCode::InvalidState) => "invalid-state",
        Err(ErrorCode::AddressNotBindable) => "address-not-bindable",
        Err(ErrorCode::AddressInUse) => "address-in-use",
        Err(ErrorCode::RemoteUnreachable) => "remote-unreachable",
        Err(ErrorCode::ConnectionRefused) => "connection-refused",
        Err(ErrorCode::ConnectionBroken) => "connection-broken",
        Err(ErrorCode::ConnectionReset) => "connection-reset",
        Err(ErrorCode::ConnectionAborted) => "connection-aborted",
        Err(ErrorCode::DatagramTooLarge) => "datagram-too-large",
        Err(ErrorCode::Other(_)) => "other",
    }
}

/// What a read or a write of a stream has come to.
pub fn progress(result: StreamResult) -> String {
    match result {
        StreamResult::Complete(count) => count.to_string(),
        StreamResult::Dropped => "dropped".to_owned(),
        StreamResult::Cancelled => "cancelled".to_owned(),
    }
}

pub fn same(same: bool) -> &'static str {
    if same { "the same" } else { "another" }
}

pub fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
