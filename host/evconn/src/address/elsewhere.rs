//! The platforms other than Unix: there are no Unix sockets, and no sockets are inherited as descriptors.

use super::{Opened, SourceError, UnixSource};
use std::num::NonZeroU32;

/// The file of a Unix socket. It has no values: this platform has no Unix sockets.
#[derive(Debug)]
pub enum SocketFile {}

pub(super) fn bind(_source: &UnixSource, _backlog: NonZeroU32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("Unix sockets"))
}

/// Does nothing: no sockets are inherited as descriptors on this system.
///
/// # Safety
/// Calling it has no effect, so there is nothing to uphold.
#[allow(unsafe_code, reason = "it is unsafe where descriptors are inherited")]
pub unsafe fn claim_inherited_descriptors() {}

pub(super) fn take(_number: i32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("sockets of another program"))
}
