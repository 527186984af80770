//! `listen`, and the stream of connections that it returns.

use super::tcp::{Returned, Socket, returned};
use crate::error::ErrorCode;
use crate::listen::{Awaited, Awaits, Incoming};
use crate::socket::{Acceptor, TcpSocket};
use crate::view::TcpView;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamReader, StreamResult};

/// Starts to listen.
pub fn listen<T: TcpView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: &Socket,
) -> Returned<StreamReader<Socket>> {
    let socket = store.data_mut().tcp().table.get_mut(socket)?;
    match acceptor(socket) {
        Ok(acceptor) => {
            let connections = Connections {
                acceptor,
                awaits: None,
            };
            Ok((Ok(StreamReader::new(store, connections)?),))
        }
        Err(code) => returned(Err(code)),
    }
}

fn acceptor(socket: &mut TcpSocket) -> Result<Acceptor, ErrorCode> {
    socket.listen_now()?;
    Acceptor::of(socket).ok_or(ErrorCode::InvalidState)
}

/// The connections of a listening socket. It accepts none but for a guest that reads; dropping it ends accepting.
struct Connections {
    acceptor: Acceptor,
    /// Counts that the guest waits for one, if its listening sockets are virtual.
    awaits: Option<Awaits>,
}

impl<T: TcpView + 'static> StreamProducer<T> for Connections {
    type Item = Socket;
    type Buffer = Option<Socket>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, T>,
        mut destination: Destination<'a, Socket, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let produced = match destination.remaining(&mut store) {
            Some(0) => self.acceptor.poll_ready(cx).map(|()| None),
            Some(_) | None => self.acceptor.poll_accept(cx).map(Some),
        };
        let is_waiting = produced.is_pending() && !finish;
        self.note(is_waiting, store.data_mut().tcp().incoming);
        if finish && produced.is_pending() {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        if let Some(socket) = ready!(produced) {
            let socket = store.data_mut().tcp().table.push(socket)?;
            destination.set_buffer(Some(socket));
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Connections {
    /// Notes whether the guest waits for one.
    fn note(&mut self, is_waiting: bool, incoming: Option<&Incoming>) {
        match is_waiting {
            false => self.awaits = None,
            true if self.awaits.is_none() => {
                self.awaits = incoming.map(|incoming| incoming.awaits(Awaited::Connection));
            }
            true => {}
        }
    }
}
