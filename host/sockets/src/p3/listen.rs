//! `listen`, and the stream of connections that it returns.

use super::tcp::{Returned, Socket, returned};
use crate::error::ErrorCode;
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
        Ok(acceptor) => Ok((Ok(StreamReader::new(store, Connections(acceptor))?),)),
        Err(code) => returned(Err(code)),
    }
}

fn acceptor(socket: &mut TcpSocket) -> Result<Acceptor, ErrorCode> {
    socket.listen_now()?;
    Acceptor::of(socket).ok_or(ErrorCode::InvalidState)
}

/// The connections of a listening socket. It accepts none but for a guest that reads; dropping it ends accepting.
struct Connections(Acceptor);

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
            Some(0) => self.0.poll_ready(cx).map(|()| None),
            Some(_) | None => self.0.poll_accept(cx).map(Some),
        };
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
