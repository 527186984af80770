//! `send`: what a guest writes to the stream that it passes goes to the kernel. What the peer of another connection
//! sends is moved by the host.

use super::counted::Counted;
use super::ended::future_of;
use super::error::code_of_send;
use super::tcp::Socket;
use crate::listen::Incoming;
use crate::relay::{Broken, Ended, Ending, Live, Moving, Received, or_cancelled};
use crate::socket::Held;
use crate::view::TcpView;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use wasmtime::component::{
    Accessor, AccessorTask, FutureReader, Source, StreamConsumer, StreamReader, StreamResult,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// Sends what comes out of a stream.
pub fn send<T: TcpView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: &Socket,
    mut data: StreamReader<u8>,
) -> wasmtime::Result<FutureReader<Ended>> {
    let ending = Ending::default();
    let taken = store.data_mut().tcp().table.get_mut(socket)?.take_sender();
    match taken {
        Ok(connection) => {
            let live = store.data_mut().relays().map(|relays| relays.count());
            let sent = Sent {
                connection,
                ending: ending.clone(),
                _live: live,
            };
            match data.try_into::<Received>(&mut store) {
                Ok(received) => sent.move_from(received.given_back(), &mut store)?,
                Err(data) => {
                    let sent = Counted::new(sent, store.data_mut());
                    data.pipe(&mut store, sent)?;
                }
            }
        }
        Err(code) => {
            data.close(&mut store)?;
            ending.set(Err(code.into()));
        }
    }
    future_of(store, &ending)
}

/// The bytes that the guest sends, which go from the guest's memory to the kernel.
struct Sent {
    connection: Arc<Held>,
    ending: Ending,
    _live: Option<Live>,
}

impl Sent {
    /// Sends what another connection receives.
    fn move_from<T: TcpView + 'static>(
        mut self,
        received: Received,
        store: &mut StoreContextMut<'_, T>,
    ) -> wasmtime::Result<()> {
        // The guest has no part in it any more.
        self._live = None;
        let from = received.endpoint();
        let from = from.map_or_else(Weak::new, |from| Arc::downgrade(&from));
        let own = Some(Arc::clone(self.connection.connection()));
        let of_guest = own.into_iter().chain(received.of_guest());
        let of_guest = of_guest.map(|endpoint| Arc::downgrade(&endpoint)).collect();
        // A program that gets its connections from the host waits for more than these, meanwhile.
        let awaits = store
            .data_mut()
            .tcp()
            .incoming
            .map(Incoming::waits_for_host);
        let moved = async move {
            self.moved(received).await;
            drop(awaits);
        };
        let moving = Moving::new(moved, from, of_guest);
        if let Some(relays) = store.data_mut().relays() {
            relays.add(moving.clone());
        }
        store.as_context_mut().spawn(InStore(moving))?;
        Ok(())
    }

    async fn moved(self, received: Received) {
        let endpoint = Arc::clone(self.connection.connection());
        match received.send_to(&endpoint).await {
            // Also where the host decides how the connection ends, since it moves the bytes alone.
            Ok(()) => endpoint.end_sending(),
            // What is incomplete does not look complete.
            Err(Broken::Receiving) => {
                endpoint.reset();
                self.ending.set(Err(ErrorCode::ConnectionBroken));
            }
            Err(Broken::Sending(error)) => self.ending.set(Err(code_of_send(&error))),
        }
    }
}

impl Drop for Sent {
    /// The stream has ended, and so does what the peer receives.
    fn drop(&mut self) {
        if self.connection.is_guest_running() {
            self.connection.endpoint().output_dropped();
        }
        // The guest need not want to know.
        self.ending.set(Ok(()));
    }
}

impl<T: 'static> StreamConsumer<T> for Sent {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, T>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let endpoint = self.connection.endpoint();
        let mut direct = source.as_direct(store);
        let polled = match direct.remaining() {
            [] => endpoint.poll_sendable(cx).map(|()| StreamResult::Completed),
            bytes => endpoint.poll_write(cx, bytes).map(|sent| match sent {
                Ok(count) => {
                    direct.mark_read(count);
                    StreamResult::Completed
                }
                Err(error) => {
                    self.ending.set(Err(code_of_send(&error)));
                    StreamResult::Dropped
                }
            }),
        };
        or_cancelled(polled, finish)
    }
}

/// Moves bytes for as long as the guest's store runs, or until the host takes that over.
struct InStore(Moving);

impl<T: 'static> AccessorTask<T> for InStore {
    async fn run(self, _: &Accessor<T>) -> wasmtime::Result<()> {
        self.0.run().await;
        Ok(())
    }
}
