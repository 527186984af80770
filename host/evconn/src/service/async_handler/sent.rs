//! What a handler has returned: a stream, whose bytes are sent right from the memory of the guest that writes them, and
//! a future, which says how the connection ends.

use super::Ended;
use super::held::{Direction, Held};
use super::received::or_cancelled;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureConsumer, Source, StreamConsumer, StreamResult};

/// The end of the stream that the host reads. It is dropped when the stream has ended, or when nothing more can be
/// sent.
pub(super) struct Sent {
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
pub(super) struct Finish(Option<oneshot::Sender<Ended>>);

impl Finish {
    /// Returns it, with what waits for the future's value.
    pub fn new() -> (Self, oneshot::Receiver<Ended>) {
        let (finish, finished) = oneshot::channel();
        (Self(Some(finish)), finished)
    }
}

impl<D: 'static> FutureConsumer<D> for Finish {
    type Item = Ended;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<D>,
        mut source: Source<'_, Ended>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut value = None;
        source.read(store, &mut value)?;
        if let (Some(finish), Some(value)) = (self.0.take(), value) {
            // Nobody waits for it if the connection has ended.
            let _ = finish.send(value);
        }
        Poll::Ready(Ok(()))
    }
}
