//! What a peer sends, as a stream for a guest: received right into the guest's memory, or moved by the host if the guest
//! has handed the stream back.

use super::ending::{Ended, Ending};
use super::relays::Live;
use crate::connection::{Endpoint, Unmoved};
use std::any::{Any, TypeId};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// How much is received at a time for a reader in the host.
const FOR_HOST: usize = 64 << 10;

/// The receiving direction of a connection that a guest has.
pub trait Receiver: Send + Sync + 'static {
    /// Returns the connection, unless it was taken away from the guest. If it is later, the task is woken.
    fn endpoint(&self, cx: &Context<'_>) -> Option<Arc<Endpoint>>;

    /// Returns an error of receiving as the guest is told of it.
    fn code(&self, error: &io::Error) -> ErrorCode;

    /// Handles the drop of the stream by its guest, before its end.
    fn dropped(&self) {}

    /// Returns the connection if it is one that the guest has made, and that ends with the guest.
    fn of_guest(&self) -> Option<Arc<Endpoint>> {
        None
    }
}

/// The end of the stream that the host writes to. A guest that passes the stream to the host gives it back:
/// [`StreamReader::try_into`](wasmtime::component::StreamReader::try_into) returns it.
pub struct Received {
    receiver: Arc<dyn Receiver>,
    ending: Ending,
    has_ended: bool,
    /// Counts the stream, while a guest may have it.
    live: Option<Live>,
}

/// A stream that was moved to another connection has not come to its end.
#[derive(Debug)]
pub enum Broken {
    /// Receiving has failed, or the connection was taken away.
    Receiving,
    /// Sending has failed.
    Sending(io::Error),
}

impl Received {
    /// Returns the stream of a connection, and how it ends.
    pub fn new(receiver: Arc<dyn Receiver>, live: Option<Live>) -> (Self, Ending) {
        let ending = Ending::default();
        let received = Self {
            receiver,
            ending: ending.clone(),
            has_ended: false,
            live,
        };
        (received, ending)
    }

    /// Returns the connection, unless it was taken away from the guest.
    pub(crate) fn endpoint(&self) -> Option<Arc<Endpoint>> {
        let nobody = Context::from_waker(Waker::noop());
        self.receiver.endpoint(&nobody)
    }

    /// Returns the connection if it is one that the guest has made, and that ends with the guest.
    pub fn of_guest(&self) -> Option<Arc<Endpoint>> {
        self.receiver.of_guest()
    }

    /// Notes that the guest has handed it back.
    pub fn given_back(mut self) -> Self {
        self.live = None;
        self
    }

    /// Sends all of it to a connection, without the guest.
    ///
    /// # Errors
    /// If either connection has failed.
    pub async fn send_to(mut self, other: &Endpoint) -> Result<(), Broken> {
        let moved = self.moved_to(other).await;
        if let Err(Unmoved::Sending(_)) = &moved {
            self.receiver.dropped();
        }
        self.end(match &moved {
            Ok(()) => Ok(()),
            Err(Unmoved::Receiving(error) | Unmoved::Sending(error)) => {
                Err(self.receiver.code(error))
            }
        });
        moved.map_err(|unmoved| match unmoved {
            Unmoved::Receiving(_) => Broken::Receiving,
            Unmoved::Sending(error) => Broken::Sending(error),
        })
    }

    async fn moved_to(&self, other: &Endpoint) -> Result<(), Unmoved> {
        let receiver = &self.receiver;
        let aborted = || Unmoved::Receiving(io::ErrorKind::ConnectionAborted.into());
        let endpoint = poll_fn(|cx| Poll::Ready(receiver.endpoint(cx))).await;
        let endpoint = endpoint.ok_or_else(aborted)?;
        let mut moving = pin!(endpoint.send_on_to(other));
        poll_fn(|cx| match receiver.endpoint(cx) {
            Some(_) => moving.as_mut().poll(cx),
            None => Poll::Ready(Err(aborted())),
        })
        .await
    }

    fn end(&mut self, how: Ended) {
        self.has_ended = true;
        self.ending.set(how);
    }

    fn received(&mut self, count: io::Result<usize>) -> (usize, StreamResult) {
        match count {
            Ok(0) => {
                self.end(Ok(()));
                (0, StreamResult::Dropped)
            }
            Ok(count) => (count, StreamResult::Completed),
            Err(error) => {
                self.end(Err(self.receiver.code(&error)));
                (0, StreamResult::Dropped)
            }
        }
    }
}

impl<D> StreamProducer<D> for Received {
    type Item = u8;
    // Nothing is kept: what a guest does not read remains in the kernel.
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.has_ended {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let Some(endpoint) = self.receiver.endpoint(cx) else {
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
                let mut memory = destination.as_direct(store, FOR_HOST);
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
        if !self.has_ended {
            self.receiver.dropped();
        }
        self.end(Ok(()));
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

/// Returns what an operation on a stream has come to that the guest may have given up.
pub fn or_cancelled(
    polled: Poll<StreamResult>,
    is_given_up: bool,
) -> Poll<wasmtime::Result<StreamResult>> {
    match polled {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending if is_given_up => Poll::Ready(Ok(StreamResult::Cancelled)),
        Poll::Pending => Poll::Pending,
    }
}
