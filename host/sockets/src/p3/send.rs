//! `send`: what a guest writes to the stream that it passes goes to the kernel.

use super::counted::Counted;
use super::error::code_of_send;
use super::receive::Ended;
use super::tcp::Socket;
use crate::socket::Held;
use crate::view::TcpView;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, Source, StreamConsumer, StreamReader, StreamResult};

/// Sends what comes out of a stream.
pub fn send<T: TcpView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: &Socket,
    mut data: StreamReader<u8>,
) -> wasmtime::Result<FutureReader<Ended>> {
    let (ended, end) = oneshot::channel();
    let taken = store.data_mut().tcp().table.get_mut(socket)?.take_sender();
    match taken {
        Ok(connection) => {
            let sent = Counted::new(Sent(Some((connection, ended))), store.data_mut());
            data.pipe(&mut store, sent)?;
        }
        Err(code) => {
            data.close(&mut store)?;
            // The receiver is there.
            let _ = ended.send(Err(code.into()));
        }
    }
    FutureReader::new(store, end)
}

/// The bytes that the guest sends, which go from the guest's memory to the kernel.
struct Sent(Option<(Arc<Held>, oneshot::Sender<Ended>)>);

impl Sent {
    /// Ends the stream.
    fn end(&mut self, how: Ended) -> StreamResult {
        if let Some((_, ended)) = self.0.take() {
            // The guest need not want to know.
            let _ = ended.send(how);
        }
        StreamResult::Dropped
    }
}

impl Drop for Sent {
    /// The stream has ended, and so does what the peer receives.
    fn drop(&mut self) {
        if let Some((connection, _)) = &self.0
            && connection.is_guest_running()
        {
            connection.endpoint().output_dropped();
        }
        self.end(Ok(()));
    }
}

impl<T: 'static> StreamConsumer<T> for Sent {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, T>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let Some((connection, _)) = &self.0 else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        let endpoint = connection.endpoint();
        let mut direct = source.as_direct(store);
        let sent = if direct.remaining().is_empty() {
            endpoint.poll_sendable(cx).map(|()| Ok(0))
        } else {
            let sent = endpoint.poll_write(cx, direct.remaining());
            if let Poll::Ready(Ok(count)) = sent {
                direct.mark_read(count);
            }
            sent
        };
        if finish && sent.is_pending() {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        Poll::Ready(Ok(match ready!(sent) {
            Ok(_) => StreamResult::Completed,
            Err(error) => self.end(Err(code_of_send(&error))),
        }))
    }
}
