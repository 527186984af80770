//! The stream that writes a file.

use super::super::input::{AT_ONCE, no_memory};
use super::super::opened::Opened;
use super::super::output::{Mode, write};
use super::super::{Files, Operations};
use super::{Ended, convert};
use crate::sockets::{Account, Awaits, Charge, Counted, Incoming};
use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Source, StreamConsumer, StreamResult};
use wasmtime_wasi::p2::{StreamError, StreamResult as Written};

/// A write, on another thread.
type Operation = Pin<Box<dyn Future<Output = Written<()>> + Send>>;

/// The end of the stream that the host reads. What it takes of the guest has been written to the file.
pub struct Writing {
    opened: Opened,
    mode: Mode,
    /// With how many bytes it writes.
    operation: Option<(Operation, usize)>,
    /// What is charged for these.
    charge: Option<Charge>,
    operations: Operations,
    ended: Option<oneshot::Sender<Ended>>,
    incoming: Option<Incoming>,
    awaits: Option<Awaits>,
}

impl Writing {
    pub fn new(
        opened: Opened,
        mode: Mode,
        files: &Files<'_>,
        ended: oneshot::Sender<Ended>,
    ) -> Self {
        let charge = |account: &Account| account.charge_anyway(Counted::Unsent, 0);
        Self {
            opened,
            mode,
            operation: None,
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

    fn begin(&mut self, bytes: &[u8]) -> Option<(Operation, usize)> {
        let most = match &mut self.charge {
            Some(charge) => charge.reserve(bytes.len().min(AT_ONCE), 1),
            None => bytes.len().min(AT_ONCE),
        };
        if most == 0 {
            return None;
        }
        let bytes = Bytes::copy_from_slice(&bytes[..most]);
        let (opened, mode) = (self.opened.clone(), self.mode);
        let operations = self.operations.clone();
        let written = operations.run(move || write(&opened, mode, bytes));
        let operation = Box::pin(async move { written.await.map_err(StreamError::Trap)? });
        Some((operation, most))
    }

    /// Writes some of these bytes. Returns how many.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Written<usize>> {
        let (mut operation, count) = match self.operation.take().or_else(|| self.begin(bytes)) {
            Some(operation) => operation,
            None => return Poll::Ready(Err(no_memory())),
        };
        let Poll::Ready(written) = operation.as_mut().poll(cx) else {
            self.operation = Some((operation, count));
            return Poll::Pending;
        };
        if let Some(charge) = &mut self.charge {
            charge.set(0);
        }
        if let Mode::At(position) = &mut self.mode {
            *position += count as u64;
        }
        Poll::Ready(written.map(|()| count))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl<D> StreamConsumer<D> for Writing {
    type Item = u8;

    /// A write that has begun cannot be given up.
    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut memory = source.as_direct(store);
        let bytes = memory.remaining();
        if bytes.is_empty() && self.operation.is_none() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let polled = self.poll_write(cx, bytes);
        self.awaits = match &self.incoming {
            Some(incoming) if polled.is_pending() => Some(incoming.waits_for_host()),
            _ => None,
        };
        Poll::Ready(Ok(match ready!(polled) {
            Ok(count) => {
                memory.mark_read(count);
                StreamResult::Completed
            }
            Err(error) => {
                let code = convert::code_of_stream(error)?;
                self.end(Err(code))
            }
        }))
    }
}
