//! Systems other than Unix: there are no Unix sockets, and nothing is passed as a number.

use super::{Opened, SourceError, UnixSource};
use std::num::NonZeroU32;

/// There is none on this system.
#[derive(Debug)]
pub enum SocketFile {}

pub(super) fn bind(_source: &UnixSource, _backlog: NonZeroU32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("Unix sockets"))
}

/// Does nothing: no sockets are inherited as descriptors on this system.
///
/// # Safety
/// There is nothing to observe.
#[allow(unsafe_code, reason = "it is unsafe where descriptors are inherited")]
pub unsafe fn claim_inherited_descriptors() {}

pub(super) fn take(_number: i32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("sockets of another program"))
}
