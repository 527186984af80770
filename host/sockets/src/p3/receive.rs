//! `receive`, and the stream of bytes that it returns.

use super::counted::Counted;
use super::ended::future_of;
use super::error::code_of_receive;
use super::tcp::Socket;
use crate::connection::Endpoint;
use crate::relay::{Ended, Ending, Received, Receiver};
use crate::socket::Held;
use crate::view::TcpView;
use std::io;
use std::sync::Arc;
use std::task::Context;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// Receives from a connection.
pub fn receive<T: TcpView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: &Socket,
) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Ended>)> {
    let taken = store
        .data_mut()
        .tcp()
        .table
        .get_mut(socket)?
        .take_receiver();
    let (stream, ending) = match taken {
        Ok(connection) => {
            let live = store.data_mut().relays().map(|relays| relays.count());
            let (received, ending) = Received::new(connection, live);
            let received = Counted::new(received, store.data_mut());
            (StreamReader::new(&mut store, received)?, ending)
        }
        Err(code) => {
            let ending = Ending::default();
            ending.set(Err(code.into()));
            (StreamReader::new(&mut store, std::iter::empty())?, ending)
        }
    };
    Ok((stream, future_of(store, &ending)?))
}

impl Receiver for Held {
    fn endpoint(&self, _: &Context<'_>) -> Option<Arc<Endpoint>> {
        Some(Arc::clone(self.connection()))
    }

    fn code(&self, error: &io::Error) -> ErrorCode {
        code_of_receive(error)
    }

    fn dropped(&self) {
        if self.is_guest_running() {
            self.connection().end_receiving();
        }
    }

    fn of_guest(&self) -> Option<Arc<Endpoint>> {
        Some(Arc::clone(self.connection()))
    }
}
