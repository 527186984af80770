//! The stream that reads a file.

use super::super::input::{AT_ONCE, no_memory, read};
use super::super::opened::Opened;
use super::super::{Files, Operations};
use super::{Ended, convert};
use crate::sockets::{Account, Awaits, Charge, Counted, Incoming};
use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult};
use wasmtime_wasi::p2::{StreamError, StreamResult as Read};
use wasmtime_wasi::p3::bindings::filesystem::types::ErrorCode;

/// A read, on another thread.
type Operation = Pin<Box<dyn Future<Output = Read<Bytes>> + Send>>;

/// The end of the stream that the host writes to. What was read, and what the guest does not take, is kept for its next
/// read.
pub struct Reading {
    opened: Opened,
    position: u64,
    operation: Option<Operation>,
    read: Bytes,
    /// What is charged for that.
    charge: Option<Charge>,
    operations: Operations,
    ended: Option<oneshot::Sender<Ended>>,
    incoming: Option<Incoming>,
    awaits: Option<Awaits>,
}

impl Reading {
    pub fn new(
        opened: Opened,
        position: u64,
        files: &Files<'_>,
        ended: oneshot::Sender<Ended>,
    ) -> Self {
        let charge = |account: &Account| account.charge_anyway(Counted::Unsent, 0);
        Self {
            opened,
            position,
            operation: None,
            read: Bytes::new(),
            charge: files.account.as_ref().map(charge),
            operations: files.operations.clone(),
            ended: Some(ended),
            incoming: files.incoming.clone(),
            awaits: None,
        }
    }

    fn end(&mut self, how: Ended) -> StreamResult {
        if let Some(ended) = self.ended.take() {
            // Nobody may wait for it.
            let _ = ended.send(how);
        }
        StreamResult::Dropped
    }

    fn begin(&mut self, size: usize) -> Option<Operation> {
        let size = match &mut self.charge {
            Some(charge) => charge.reserve(size, 1),
            None => size,
        };
        if size == 0 {
            return None;
        }
        let (opened, position) = (self.opened.clone(), self.position);
        let operations = self.operations.clone();
        let read = operations.run(move || read(&opened, position, size));
        Some(Box::pin(
            async move { read.await.map_err(StreamError::Trap)? },
        ))
    }

    /// Reads up to this many bytes, unless there are some.
    fn poll_read(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<Read<()>> {
        if !self.read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut operation = match self.operation.take().or_else(|| self.begin(size)) {
            Some(operation) => operation,
            None => return Poll::Ready(Err(no_memory())),
        };
        let Poll::Ready(read) = operation.as_mut().poll(cx) else {
            self.operation = Some(operation);
            return Poll::Pending;
        };
        self.read = read?;
        self.position += self.read.len() as u64;
        Poll::Ready(Ok(()))
    }

    /// Returns up to this many of the bytes that were read.
    fn take(&mut self, most: usize) -> Bytes {
        let taken = self.read.split_to(most.min(self.read.len()));
        if self.read.is_empty()
            && let Some(charge) = &mut self.charge
        {
            charge.set(0);
        }
        taken
    }

    fn failed(&mut self, error: StreamError) -> wasmtime::Result<StreamResult> {
        Ok(match error {
            StreamError::Closed => self.end(Ok(())),
            other => {
                let code: ErrorCode = convert::code_of_stream(other)?;
                self.end(Err(code))
            }
        })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl<D> StreamProducer<D> for Reading {
    type Item = u8;
    /// Nothing is ever put into it.
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let wanted = destination.remaining(&mut store).unwrap_or(AT_ONCE);
        if wanted == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let polled = self.poll_read(cx, wanted.min(AT_ONCE));
        let is_waiting = polled.is_pending() && !finish;
        self.awaits = match &self.incoming {
            Some(incoming) if is_waiting => Some(incoming.waits_for_host()),
            _ => None,
        };
        if polled.is_pending() && finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        Poll::Ready(match ready!(polled) {
            Ok(()) => {
                let mut memory = destination.as_direct(store, wanted.min(AT_ONCE));
                let taken = self.take(memory.remaining().len());
                memory.remaining()[..taken.len()].copy_from_slice(&taken);
                memory.mark_written(taken.len());
                Ok(StreamResult::Completed)
            }
            Err(error) => self.failed(error),
        })
    }
}
