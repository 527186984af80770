//! `receive`, and the stream of bytes that it returns.

use super::counted::Counted;
use super::error::code_of_receive;
use super::tcp::Socket;
use crate::socket::Held;
use crate::view::TcpView;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, FutureReader, StreamProducer, StreamReader, StreamResult};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// How a direction has ended.
pub type Ended = Result<(), ErrorCode>;

/// How much is received at a time for a stream that the host reads.
const FOR_HOST: usize = 64 << 10;

/// Receives from a connection.
pub fn receive<T: TcpView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: &Socket,
) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Ended>)> {
    let (ended, end) = oneshot::channel();
    let taken = store
        .data_mut()
        .tcp()
        .table
        .get_mut(socket)?
        .take_receiver();
    let stream = match taken {
        Ok(connection) => {
            let received = Received(Some((connection, ended)));
            let received = Counted::new(received, store.data_mut());
            StreamReader::new(&mut store, received)?
        }
        Err(code) => {
            // The receiver is there.
            let _ = ended.send(Err(code.into()));
            StreamReader::new(&mut store, std::iter::empty())?
        }
    };
    Ok((stream, FutureReader::new(store, end)?))
}

/// The bytes that the peer sends, which go from the kernel to the guest's memory.
struct Received(Option<(Arc<Held>, oneshot::Sender<Ended>)>);

impl Received {
    /// Ends the stream.
    fn end(&mut self, how: Ended) -> StreamResult {
        if let Some((_, ended)) = self.0.take() {
            // The guest need not want to know.
            let _ = ended.send(how);
        }
        StreamResult::Dropped
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some((connection, _)) = &self.0
            && connection.is_guest_running()
        {
            connection.endpoint().end_receiving();
        }
        self.end(Ok(()));
    }
}

impl<T: 'static> StreamProducer<T> for Received {
    type Item = u8;
    // Nothing is kept: what a guest does not read remains in the kernel.
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, T>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let Some((connection, _)) = &self.0 else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        let endpoint = connection.endpoint();
        let received = if destination.remaining(&mut store) == Some(0) {
            endpoint.poll_receivable(cx).map(|()| Ok(None))
        } else {
            let mut direct = destination.as_direct(store, FOR_HOST);
            let received = endpoint.poll_receive_into(cx, direct.remaining());
            if let Poll::Ready(Ok(count)) = received {
                direct.mark_written(count);
            }
            received.map_ok(Some)
        };
        if finish && received.is_pending() {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        Poll::Ready(Ok(match ready!(received) {
            Ok(Some(0)) => self.end(Ok(())),
            Ok(_) => StreamResult::Completed,
            Err(error) => self.end(Err(code_of_receive(&error))),
        }))
    }
}
