//! Systems other than Unix: there are no Unix sockets, and nothing is passed as a number.

use super::{Opened, SourceError, UnixSource};
use std::fmt;
use std::num::NonZeroU32;

/// There is none on this system.
#[derive(Debug)]
pub enum SocketFile {}

/// There are none on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerCredentials {}

impl fmt::Display for PeerCredentials {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

pub(super) fn bind(_source: &UnixSource, _backlog: NonZeroU32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("Unix sockets"))
}

pub(super) fn take(_number: i32) -> Result<Opened, SourceError> {
    Err(SourceError::Unsupported("sockets of another program"))
}
