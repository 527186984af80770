//! The stream that writes a file.

use super::input::{AT_ONCE, no_memory};
use super::opened::{Opened, now};
use super::operations::Operations;
use crate::sockets::p2::check_permit;
use crate::sockets::{Account, Charge, Counted};
use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// Where a stream writes.
#[derive(Clone, Copy)]
pub enum Mode {
    At(u64),
    Append,
}

pub struct FileOutput {
    opened: Opened,
    mode: Mode,
    state: State,
    permit: usize,
    /// What is charged for bytes that the guest has written, or was permitted to write.
    charge: Option<Charge>,
    operations: Operations,
}

enum State {
    Idle,
    Writing(AbortOnDropJoinHandle<StreamResult<()>>, usize),
    Failed(StreamError),
    Closed,
}

impl FileOutput {
    pub fn new(
        opened: Opened,
        mode: Mode,
        account: Option<&Account>,
        operations: &Operations,
    ) -> Self {
        Self {
            opened,
            mode,
            state: State::Idle,
            permit: 0,
            charge: account.map(|account| account.charge_anyway(Counted::Unsent, 0)),
            operations: operations.clone(),
        }
    }

    fn operation(&self, bytes: Bytes) -> impl Future<Output = StreamResult<()>> + Send + 'static {
        let (opened, mode) = (self.opened.clone(), self.mode);
        let written = self
            .operations
            .clone()
            .run(move || write(&opened, mode, bytes));
        async move { written.await.map_err(StreamError::Trap)? }
    }

    /// Fails with what went wrong, once.
    fn check(&mut self) -> StreamResult<()> {
        match &self.state {
            State::Idle | State::Writing(..) => return Ok(()),
            State::Failed(_) | State::Closed => {}
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Err(error),
            _ => Err(StreamError::Closed),
        }
    }

    fn ended(&mut self, written: StreamResult<()>, count: usize) {
        if let Some(charge) = &mut self.charge {
            charge.set(0);
        }
        self.state = match written {
            Ok(()) => State::Idle,
            Err(error) => State::Failed(error),
        };
        if let (State::Idle, Mode::At(position)) = (&self.state, &mut self.mode) {
            *position += count as u64;
        }
    }

    async fn finish(&mut self) {
        if let State::Writing(writing, count) = &mut self.state {
            let (written, count) = (writing.await, *count);
            self.ended(written, count);
        }
    }
}

/// Writes, on this thread, which may block.
pub fn write(opened: &Opened, mode: Mode, bytes: Bytes) -> StreamResult<()> {
    let written = opened.with(|own, fd| {
        let stream = match mode {
            Mode::At(position) => own.view().write_via_stream(fd, position)?,
            Mode::Append => own.view().append_via_stream(fd)?,
        };
        let stream = own.table.get_mut(&stream)?;
        let written = now(stream.blocking_write_and_flush(bytes));
        Ok(written.map_err(StreamError::Trap).flatten())
    });
    written.map_err(|error| match error.downcast() {
        Ok(code) => StreamError::LastOperationFailed(code.into()),
        Err(trap) => StreamError::Trap(trap),
    })?
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        check_permit(bytes.len(), self.permit)?;
        self.permit = 0;
        if !bytes.is_empty() {
            let count = bytes.len();
            self.state = State::Writing(spawn(self.operation(bytes)), count);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        self.permit = match (&self.state, &mut self.charge) {
            (State::Writing(..), _) => 0,
            (_, None) => AT_ONCE,
            (_, Some(charge)) => match charge.reserve(AT_ONCE, 1) {
                0 => return Err(no_memory()),
                permit => permit,
            },
        };
        Ok(self.permit)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.finish().await;
        self.check()?;
        let count = bytes.len();
        let written = self.operation(bytes).await;
        self.ended(written, count);
        self.check()
    }

    /// Waits until the last write is done: what the guest does next comes after it.
    async fn cancel(&mut self) {
        self.finish().await;
    }
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {
        self.finish().await;
        // However often it is asked, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
    }
}
