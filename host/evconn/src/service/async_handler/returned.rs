//! What a handler has returned: a stream, whose bytes are sent right from the memory of the guest that writes them, and
//! a future, which says how the connection ends. Either may be the host's own, in which the guest has no part any more.

use super::Ended;
use super::held::{Direction, Held};
use crate::service::state::InstanceState;
use crate::sockets::Endpoint;
use crate::sockets::p3::{Ending, Received, ending_of, or_cancelled};
use futures_util::FutureExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    FutureConsumer, FutureReader, Source, StreamConsumer, StreamReader, StreamResult,
};

/// The stream that a handler has returned.
pub(super) struct Sending {
    /// Waits until all of it is sent, or nothing more can be.
    pub sent: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whether it is one of the host's own.
    pub is_alone: bool,
    /// The connection that it is received from, if the guest has made that.
    pub of_guest: Option<Arc<Endpoint>>,
}

impl Sending {
    /// Begins to send it.
    pub fn begin(
        mut store: StoreContextMut<'_, InstanceState>,
        endpoint: &Arc<Endpoint>,
        held: &Arc<Held>,
        stream: StreamReader<u8>,
    ) -> wasmtime::Result<Self> {
        let stream = match stream.try_into::<Received>(&mut store) {
            Ok(received) => return Ok(Self::moved(received.given_back(), Arc::clone(endpoint))),
            Err(stream) => stream,
        };
        let (sent, is_sent) = Sent::new(held);
        stream.pipe(&mut store, sent)?;
        Ok(Self {
            // Its sender is gone with the stream.
            sent: Box::pin(is_sent.map(drop)),
            is_alone: false,
            of_guest: None,
        })
    }

    /// Moves what is received by another connection, or by the same one.
    fn moved(received: Received, endpoint: Arc<Endpoint>) -> Self {
        Self {
            of_guest: received.of_guest(),
            sent: Box::pin(async move {
                // The future beside it tells of errors of receiving; the end of the connection, of those of sending.
                let _ = received.send_to(&endpoint).await;
            }),
            is_alone: true,
        }
    }
}

/// Returns what the future tells that a handler has returned, and whether the future is one of the host's own.
pub(super) fn ending(
    mut store: StoreContextMut<'_, InstanceState>,
    future: FutureReader<Ended>,
) -> wasmtime::Result<(Ending, bool)> {
    match ending_of(&mut store, future)? {
        Ok(ending) => Ok((ending, true)),
        Err(future) => {
            let ending = Ending::default();
            future.pipe(&mut store, Finish(ending.clone()))?;
            Ok((ending, false))
        }
    }
}

/// The end of the stream that the host reads. It is dropped when the stream has ended, or when nothing more can be
/// sent.
struct Sent {
    held: Arc<Held>,
    _is_sent: oneshot::Sender<()>,
}

impl Sent {
    /// Returns it, with what waits until it is dropped.
    pub fn new(held: &Arc<Held>) -> (Self, oneshot::Receiver<()>) {
        let (is_sent, dropped) = oneshot::channel();
        let sent = Self {
            held: Arc::clone(held),
            _is_sent: is_sent,
        };
        (sent, dropped)
    }
}

impl<D> StreamConsumer<D> for Sent {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let Some(endpoint) = self.held.endpoint(Direction::Sent, cx) else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        let mut memory = source.as_direct(store);
        let bytes = memory.remaining();
        let polled = match bytes.is_empty() {
            // The guest waits until something can be sent.
            true => {
                let is_ready = endpoint.poll_sendable(cx);
                is_ready.map(|()| StreamResult::Completed)
            }
            false => endpoint.poll_send_from(cx, bytes).map(|sent| match sent {
                Ok(count) => {
                    memory.mark_read(count);
                    StreamResult::Completed
                }
                // The peer is gone: the guest is told that nobody reads what it writes.
                Err(_) => StreamResult::Dropped,
            }),
        };
        self.held.set_writing(polled.is_pending() && !finish);
        or_cancelled(polled, finish)
    }
}

/// The end of the future that the host reads.
struct Finish(Ending);

impl<D: 'static> FutureConsumer<D> for Finish {
    type Item = Ended;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<D>,
        mut source: Source<'_, Ended>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut value = None;
        source.read(store, &mut value)?;
        if let Some(value) = value {
            self.0.set(value);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Finish {
    /// There will be no other value.
    fn drop(&mut self) {
        self.0.set(Ok(()));
    }
}
