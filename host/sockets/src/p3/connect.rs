//! `connect`.

use super::awaits::awaits;
use super::tcp::{Returned, Socket, returned};
use crate::error::ErrorCode;
use crate::listen::Awaited;
use crate::socket::TcpSocket;
use crate::view::TcpView;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use wasmtime::component::Accessor;

/// Connects. The guest cannot drop the socket meanwhile, which is lent to this call.
pub async fn connect<T: TcpView>(
    store: &Accessor<T>,
    socket: Socket,
    remote: SocketAddr,
) -> Returned<()> {
    let _awaits = awaits(store, Awaited::Other);
    let start = |socket: &mut TcpSocket| socket.start_connect(remote).map(|()| socket.check());
    let check = match with_socket(store, &socket, start)? {
        Ok(check) => check,
        Err(code) => return returned(Err(code)),
    };
    if let Some(check) = check {
        check.done().await;
    }
    let connected =
        poll_fn(
            |cx| match with_socket(store, &socket, |socket| socket.poll_connected(cx)) {
                Ok(Poll::Ready(connected)) => Poll::Ready(Ok(connected)),
                Ok(Poll::Pending) => Poll::Pending,
                Err(trap) => Poll::Ready(Err(trap)),
            },
        );
    let connected: Result<(), ErrorCode> = connected.await?;
    returned(connected)
}

fn with_socket<T: TcpView, R>(
    store: &Accessor<T>,
    socket: &Socket,
    act: impl FnOnce(&mut TcpSocket) -> R,
) -> wasmtime::Result<R> {
    store.with(|mut access| Ok(act(access.data_mut().tcp().table.get_mut(socket)?)))
}
