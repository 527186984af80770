//! An input stream whose reads are about as large as what comes.
//!
//! wasmtime-wasi's stream clears a buffer of the size that the guest asks for, up to 64 KiB, before
//! each read. Guests ask for much and mostly get little, and clearing then costs more than reading.

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynInputStream, InputStream, Pollable, StreamError};

const SMALLEST: usize = 1 << 10;
const LARGEST: usize = 64 << 10;

/// Reads no more than it expects: what fills the expectation raises it, what falls short of it by
/// far lowers it. A read may always return less than was asked for.
pub(crate) struct FittedInput {
    stream: DynInputStream,
    expected: usize,
}

impl FittedInput {
    pub fn new(stream: DynInputStream) -> Self {
        Self {
            stream,
            expected: SMALLEST,
        }
    }
}

#[async_trait]
impl InputStream for FittedInput {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        let size = size.min(self.expected);
        let bytes = self.stream.read(size)?;
        if bytes.len() == self.expected {
            self.expected = (4 * self.expected).min(LARGEST);
        } else if !bytes.is_empty() && bytes.len() < self.expected / 8 {
            self.expected = (self.expected / 4).max(SMALLEST);
        }
        Ok(bytes)
    }

    async fn cancel(&mut self) {
        self.stream.cancel().await;
    }
}

#[async_trait]
impl Pollable for FittedInput {
    async fn ready(&mut self) {
        self.stream.ready().await;
    }
}
