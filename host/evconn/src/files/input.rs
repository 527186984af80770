//! The stream that reads a file.

use super::opened::{Opened, now};
use super::operations::Operations;
use crate::sockets::{Account, Charge, Counted};
use bytes::Bytes;
use futures_util::FutureExt;
use std::io;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// The most bytes of a read: wasmtime-wasi reads no more.
pub const AT_ONCE: usize = 64 << 10;

/// How much is read ahead for a guest that waits for the stream rather than for a read.
const AHEAD: usize = 4 << 10;

pub struct FileInput {
    opened: Opened,
    position: u64,
    state: State,
    /// What is charged for bytes that were read, and that the guest has not taken.
    charge: Option<Charge>,
    operations: Operations,
}

enum State {
    Idle,
    Reading(AbortOnDropJoinHandle<StreamResult<Bytes>>),
    Read(StreamResult<Bytes>),
    Closed,
}

impl FileInput {
    pub fn new(
        opened: Opened,
        position: u64,
        account: Option<&Account>,
        operations: &Operations,
    ) -> Self {
        Self {
            opened,
            position,
            state: State::Idle,
            charge: account.map(|account| account.charge_anyway(Counted::Unsent, 0)),
            operations: operations.clone(),
        }
    }

    fn operation(&self, size: usize) -> impl Future<Output = StreamResult<Bytes>> + Send + 'static {
        let (opened, position) = (self.opened.clone(), self.position);
        let read = self
            .operations
            .clone()
            .run(move || read(&opened, position, size));
        async move { read.await.map_err(StreamError::Trap)? }
    }

    /// Begins to read.
    fn begin(&mut self, size: usize) {
        let size = match &mut self.charge {
            Some(charge) => charge.reserve(size, 1),
            None => size,
        };
        self.state = match size {
            0 => State::Read(Err(no_memory())),
            size => State::Reading(spawn(self.operation(size))),
        };
    }

    /// Returns what was read. Nothing is no end yet: that is an error.
    fn take(&mut self, size: usize) -> StreamResult<Bytes> {
        let State::Read(read) = std::mem::replace(&mut self.state, State::Closed) else {
            return Err(StreamError::Closed);
        };
        let mut bytes = read.inspect_err(|_| self.set_charge(0))?;
        let taken = bytes.split_to(size.min(bytes.len()));
        self.position += taken.len() as u64;
        if bytes.is_empty() {
            self.state = State::Idle;
            self.set_charge(0);
        } else {
            self.state = State::Read(Ok(bytes));
        }
        Ok(taken)
    }

    fn set_charge(&mut self, amount: usize) {
        if let Some(charge) = &mut self.charge {
            charge.set(amount);
        }
    }

    async fn finish(&mut self) {
        if let State::Reading(reading) = &mut self.state {
            self.state = State::Read(reading.await);
        }
    }
}

/// Reads, on this thread, which may block.
pub fn read(opened: &Opened, position: u64, size: usize) -> StreamResult<Bytes> {
    let read = opened.with(|own, fd| {
        let stream = own.view().read_via_stream(fd, position)?;
        let stream = own.table.get_mut(&stream)?;
        Ok(now(stream.blocking_read(size))
            .map_err(StreamError::Trap)
            .flatten())
    });
    read.map_err(|error| match error.downcast() {
        Ok(code) => StreamError::LastOperationFailed(code.into()),
        Err(trap) => StreamError::Trap(trap),
    })?
}

/// Returns the error of a guest that has no memory left for what is read or written: `insufficient-memory`.
pub fn no_memory() -> StreamError {
    #[cfg(unix)]
    let error = io::Error::from(rustix::io::Errno::NOMEM);
    #[cfg(not(unix))]
    let error = io::Error::from(io::ErrorKind::OutOfMemory);
    StreamError::LastOperationFailed(error.into())
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if let State::Reading(reading) = &mut self.state
            && reading.is_finished()
            && let Some(read) = reading.now_or_never()
        {
            self.state = State::Read(read);
        }
        match &self.state {
            State::Idle if size > 0 => {
                self.begin(size.min(AT_ONCE));
                Ok(Bytes::new())
            }
            State::Idle | State::Reading(_) => Ok(Bytes::new()),
            State::Read(_) | State::Closed => self.take(size),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.finish().await;
        if matches!(self.state, State::Idle) && size > 0 {
            self.state = State::Read(self.operation(size.min(AT_ONCE)).await);
        }
        self.read(size)
    }
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {
        if matches!(self.state, State::Idle) {
            self.begin(AHEAD);
        }
        self.finish().await;
        // However often it is asked, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
    }
}
