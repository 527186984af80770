//! The resource `input-stream` of a socket.

use super::output::failure;
use super::pollables::SocketPollable;
use crate::connection::{Endpoint, Read, Reader, Received, shared};
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// Dropping it ends nothing: the socket's peer does not notice.
pub struct Input {
    /// None: it was [revoked](Self::revoke).
    reader: Option<Reader>,
}

impl Input {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        let reader = Some(Reader::new(endpoint));
        Self { reader }
    }

    /// Takes it away from a guest that has not dropped it: to the guest, it has ended.
    pub fn revoke(&mut self) {
        self.reader = None;
    }

    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.reader.as_ref().map(Reader::endpoint)
    }

    /// What is ready when it is.
    pub fn pollable(&self) -> SocketPollable {
        match self.endpoint() {
            Some(endpoint) => SocketPollable::Input(Arc::clone(endpoint)),
            None => SocketPollable::Revoked,
        }
    }

    fn reader(&mut self) -> StreamResult<&mut Reader> {
        self.reader.as_mut().ok_or(StreamError::Closed)
    }

    /// Returns what is there. It may be nothing.
    pub fn read_now(&mut self, size: usize) -> StreamResult<Received> {
        found(self.reader()?.read(size).map_err(failure)?)
    }

    /// Returns what is there or comes next.
    pub async fn read_next(&mut self, size: usize) -> StreamResult<Received> {
        found(self.reader()?.read_next(size).await.map_err(failure)?)
    }

    /// Sends on what is there or comes next. Returns how many bytes they are.
    pub async fn splice(&mut self, output: &Endpoint, size: usize) -> StreamResult<usize> {
        let spliced = self.reader()?.splice(output, size).await;
        spliced.map_err(failure)?.ok_or(StreamError::Closed)
    }
}

fn found(read: Read) -> StreamResult<Received> {
    match read {
        Read::Bytes(received) => Ok(received),
        Read::Nothing => Ok(Received::default()),
        Read::End => Err(StreamError::Closed),
    }
}

/// For splices with streams that are no sockets'.
#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.read_now(size).map(shared)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.read_next(size).await.map(shared)
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        if let Some(endpoint) = self.endpoint() {
            poll_fn(|cx| endpoint.poll_input_ready(cx)).await;
        }
        // However often it is asked, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
    }
}
