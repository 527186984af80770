//! What the peer sends, as a stream: received right into the memory of the guest that reads it.

use super::Ended;
use super::held::{Direction, Held};
use crate::sockets::Endpoint;
use std::any::{Any, TypeId};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// How much is received at a time if it is for the host: for a guest that has returned the stream that it was given.
const AT_A_TIME: usize = 64 << 10;

/// The end of the stream that the host writes to.
///
/// A guest that drops the stream reads no more. The peer does not notice.
pub(super) struct Received {
    held: Arc<Held>,
    /// Told how the stream has ended.
    ended: Option<oneshot::Sender<Ended>>,
}

impl Received {
    /// Returns it, with what waits until the stream has ended and tells how.
    pub fn new(held: &Arc<Held>) -> (Self, oneshot::Receiver<Ended>) {
        let (ended, is_ended) = oneshot::channel();
        let received = Self {
            held: Arc::clone(held),
            ended: Some(ended),
        };
        (received, is_ended)
    }

    /// Sends all of it to a connection, instead of a guest that has handed it back: to the same one, or in an instance
    /// that has several, to another one.
    pub async fn send_to(mut self, connection: &Endpoint) {
        let held = Arc::clone(&self.held);
        let mut sending = None;
        let sent = poll_fn(|cx| {
            let Some(endpoint) = held.endpoint(Direction::Received, cx) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            };
            let send = || Box::pin(async move { endpoint.send_on_to(connection).await });
            sending.get_or_insert_with(send).as_mut().poll(cx)
        });
        let sent = sent.await;
        self.end(sent.map_err(|error| code(&error)));
    }

    fn end(&mut self, how: Ended) {
        if let Some(ended) = self.ended.take() {
            // Nobody may wait for it.
            let _ = ended.send(how);
        }
    }

    fn received(&mut self, count: io::Result<usize>) -> (usize, StreamResult) {
        match count {
            Ok(0) => {
                self.end(Ok(()));
                (0, StreamResult::Dropped)
            }
            Ok(count) => (count, StreamResult::Completed),
            Err(error) => {
                self.end(Err(code(&error)));
                (0, StreamResult::Dropped)
            }
        }
    }
}

impl<D> StreamProducer<D> for Received {
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
        let Some(endpoint) = self.held.endpoint(Direction::Received, cx) else {
            self.end(Err(ErrorCode::ConnectionAborted));
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        let polled = match destination.remaining(&mut store) {
            // The guest waits for something to read.
            Some(0) => {
                let is_there = endpoint.poll_receivable(cx);
                is_there.map(|()| StreamResult::Completed)
            }
            _ => {
                let mut memory = destination.as_direct(store, AT_A_TIME);
                let received = endpoint.poll_receive_into(cx, memory.remaining());
                received.map(|count| {
                    let (count, result) = self.received(count);
                    memory.mark_written(count);
                    result
                })
            }
        };
        or_cancelled(polled, finish)
    }

    /// Returns it whole: nothing was received that the guest has not got.
    fn try_into(me: Pin<Box<Self>>, wanted: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        match wanted == TypeId::of::<Self>() {
            true => Ok(Pin::<Box<Self>>::into_inner(me)),
            false => Err(me),
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

/// Returns what an operation has come to that the guest may have given up.
pub(super) fn or_cancelled(
    polled: Poll<StreamResult>,
    is_given_up: bool,
) -> Poll<wasmtime::Result<StreamResult>> {
    match polled {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending if is_given_up => Poll::Ready(Ok(StreamResult::Cancelled)),
        Poll::Pending => Poll::Pending,
    }
}

/// Returns the error that a guest is told.
fn code(error: &io::Error) -> ErrorCode {
    match error.kind() {
        // The end of a TLS session is missing.
        io::ErrorKind::UnexpectedEof => ErrorCode::ConnectionBroken,
        io::ErrorKind::BrokenPipe => ErrorCode::ConnectionReset,
        _ => error.into(),
    }
}
