//! Other systems do not limit memory mappings, nor addresses.

use std::io;

/// There is nothing that is limited.
#[derive(Debug)]
pub(crate) enum Limited {}

impl Limited {
    pub fn mappings() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn addresses() -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub fn limit(&self) -> u64 {
        match *self {}
    }

    pub fn taken(&self) -> io::Result<u64> {
        match *self {}
    }
}
