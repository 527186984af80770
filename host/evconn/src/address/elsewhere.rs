//! Systems other than Unix: there are no Unix sockets, and nothing is passed as a number.

use super::{Opened, SourceError, UnixSource};
use std::num::NonZeroU32;

/// There is none on this system.
#[derive(Debug)]
pub enum SocketFile {}

pub(super) fn bind(_source: &UnixSource, _backlog: NonZeroU32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("Unix sockets"))
}

pub(super) fn take(_number: i32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("sockets of another program"))
}
