//! The stream of what a directory contains.

use super::super::listing::Listing;
use super::super::opened::Opened;
use super::super::{Files, Operations};
use super::{Ended, convert};
use crate::sockets::{Awaits, Charge, Incoming};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};
use wasmtime_wasi::p2::{FsError, FsResult};
use wasmtime_wasi::p3::bindings::filesystem::types::DirectoryEntry;

/// Entries that were read, and what reads the others.
type Batch = FsResult<(Listing, Vec<DirectoryEntry>)>;

/// Reads some entries, on another thread.
type Operation = Pin<Box<dyn Future<Output = Batch> + Send>>;

/// The end of the stream that the host writes to.
pub struct Names {
    /// None: all were read.
    operation: Option<Operation>,
    read: VecDeque<DirectoryEntry>,
    operations: Operations,
    ended: Option<oneshot::Sender<Ended>>,
    incoming: Option<Incoming>,
    awaits: Option<Awaits>,
}

impl Names {
    pub fn new(
        directory: Opened,
        charge: Option<Arc<Charge>>,
        files: &Files<'_>,
        ended: oneshot::Sender<Ended>,
    ) -> Self {
        let operations = files.operations.clone();
        Self {
            operation: Some(Box::pin(open(directory, charge, operations.clone()))),
            read: VecDeque::new(),
            operations,
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

    /// Reads some, unless there are some. There are none if all were read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<FsResult<()>> {
        if !self.read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Some(operation) = &mut self.operation else {
            return Poll::Ready(Ok(()));
        };
        let read = ready!(operation.as_mut().poll(cx));
        self.operation = None;
        let (listing, entries) = read?;
        self.read = entries.into();
        if !self.read.is_empty() {
            self.operation = Some(Box::pin(some(listing, self.operations.clone())));
        }
        Poll::Ready(Ok(()))
    }
}

async fn open(directory: Opened, charge: Option<Arc<Charge>>, operations: Operations) -> Batch {
    let opened = operations
        .clone()
        .run(move || directory.with(|own, directory| Listing::open(own, directory, charge)));
    let listing = opened.await.map_err(FsError::trap)??;
    some(listing, operations).await
}

async fn some(mut listing: Listing, operations: Operations) -> Batch {
    let entries = listing.some(operations).await?;
    Ok((listing, entries.into_iter().map(convert::entry).collect()))
}

impl Drop for Names {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl<D> StreamProducer<D> for Names {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, DirectoryEntry, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let wanted = destination.remaining(&mut store).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let polled = self.poll_read(cx);
        let is_waiting = polled.is_pending() && !finish;
        self.awaits = match &self.incoming {
            Some(incoming) if is_waiting => Some(incoming.waits_for_host()),
            _ => None,
        };
        if polled.is_pending() && finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        let how = match ready!(polled) {
            Ok(()) if !self.read.is_empty() => {
                let count = wanted.min(self.read.len());
                let entries: Vec<_> = self.read.drain(..count).collect();
                destination.set_buffer(entries.into());
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            Ok(()) => Ok(()),
            Err(error) => Err(convert::code(error)?),
        };
        Poll::Ready(Ok(self.end(how)))
    }
}
