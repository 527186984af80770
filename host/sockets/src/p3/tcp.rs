//! The resource `tcp-socket` of `wasi:sockets/types`, except for its options: each function finds its socket in the
//! table and has it do the work.

use super::{connect, listen, receive, send};
use crate::error::ErrorCode;
use crate::socket::TcpSocket;
use crate::view::{TcpCtxView, TcpView};
use std::net::SocketAddr;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource, ResourceType, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::types::{self, IpAddressFamily, IpSocketAddress};

/// A socket, as a function takes it.
pub type Socket = Resource<TcpSocket>;

/// What a function returns: an error is the guest's to deal with.
pub type Returned<R> = wasmtime::Result<(Result<R, types::ErrorCode>,)>;

pub fn returned<R>(result: Result<R, ErrorCode>) -> Returned<R> {
    Ok((result.map_err(types::ErrorCode::from),))
}

/// Does something with a socket.
pub fn with<T: TcpView, R>(
    mut store: StoreContextMut<'_, T>,
    socket: &Socket,
    act: impl FnOnce(&mut TcpSocket) -> Result<R, ErrorCode>,
) -> Returned<R> {
    returned(act(store.data_mut().tcp().table.get_mut(socket)?))
}

/// Defines the functions, or replaces them.
pub fn add_to_instance<T: TcpView + 'static>(
    types: &mut LinkerInstance<'_, T>,
) -> wasmtime::Result<()> {
    add_resource(types)?;
    add_operations(types)?;
    add_streams(types)?;
    add_properties(types)
}

fn add_resource<T: TcpView + 'static>(types: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    types.resource(
        "tcp-socket",
        ResourceType::host::<TcpSocket>(),
        |mut store, index| {
            let socket = Socket::new_own(index);
            store.data_mut().tcp().table.delete(socket)?.released();
            Ok(())
        },
    )?;
    types.func_wrap(
        "[static]tcp-socket.create",
        |mut store, (family,): (IpAddressFamily,)| create(store.data_mut().tcp(), family),
    )
}

fn create(view: TcpCtxView<'_>, family: IpAddressFamily) -> Returned<Socket> {
    match TcpSocket::new(view.ctx, family.into(), view.incoming) {
        Ok(socket) => Ok((Ok(view.table.push(socket)?),)),
        Err(code) => returned(Err(code)),
    }
}

fn add_operations<T: TcpView + 'static>(types: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]tcp-socket.bind",
        |store, (socket, address): (Socket, IpSocketAddress)| {
            with(store, &socket, |socket| {
                socket.bind(SocketAddr::from(address))
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]tcp-socket.connect",
        |store, (socket, address): (Socket, IpSocketAddress)| {
            Box::pin(connect::connect(store, socket, SocketAddr::from(address)))
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.listen",
        |store, (socket,): (Socket,)| listen::listen(store, &socket),
    )
}

fn add_streams<T: TcpView + 'static>(types: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]tcp-socket.send",
        |store, (socket, data): (Socket, StreamReader<u8>)| {
            Ok((send::send(store, &socket, data)?,))
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.receive",
        |store, (socket,): (Socket,)| Ok((receive::receive(store, &socket)?,)),
    )
}

fn add_properties<T: TcpView + 'static>(types: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]tcp-socket.get-local-address",
        |store, (socket,): (Socket,)| {
            with(store, &socket, |socket| {
                socket.local_address().map(IpSocketAddress::from)
            })
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.get-remote-address",
        |store, (socket,): (Socket,)| {
            with(store, &socket, |socket| {
                socket.remote_address().map(IpSocketAddress::from)
            })
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.get-is-listening",
        |mut store, (socket,): (Socket,)| {
            Ok((store.data_mut().tcp().table.get(&socket)?.is_listening(),))
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.get-address-family",
        |mut store, (socket,): (Socket,)| {
            let family = store.data_mut().tcp().table.get(&socket)?.family();
            Ok((IpAddressFamily::from(family),))
        },
    )
}
