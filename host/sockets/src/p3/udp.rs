//! `udp-socket.create`, for guests that are told apart by whether they may have UDP sockets, and what waits of a UDP
//! socket, which is counted.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use super::awaits::awaits;
use super::tcp::{Returned, returned};
use crate::listen::Awaited;
use crate::udp::{UdpCreator, drop_udp_socket, udp_creator};
use crate::view::TcpView;
use wasmtime::component::{LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::p3::bindings::sockets::types::{
    HostUdpSocket, HostUdpSocketWithStore, IpAddressFamily, IpSocketAddress,
};
use wasmtime_wasi::p3::sockets::SocketResult;
use wasmtime_wasi::sockets::{UdpSocket, WasiSockets, WasiSocketsView};

/// Has guests told apart who may have UDP sockets, and tell of those who may not. Has sockets charged.
pub fn add_to_instance<T: TcpView + 'static>(
    types: &mut LinkerInstance<'_, T>,
) -> wasmtime::Result<()> {
    types.resource(
        "udp-socket",
        ResourceType::host::<UdpSocket>(),
        |mut store, index| drop_udp_socket::<T, UdpSocket>(store.data_mut(), index),
    )?;
    types.func_wrap_async(
        "[static]udp-socket.create",
        |mut store, (family,): (IpAddressFamily,)| {
            Box::new(async move { create(udp_creator(store.data_mut()), family).await })
        },
    )
}

/// Has what a guest waits for counted.
pub fn add_transfer_to_instance<T: TcpView + 'static>(
    types: &mut LinkerInstance<'_, T>,
) -> wasmtime::Result<()> {
    types.func_wrap_concurrent(
        "[method]udp-socket.send",
        |store, (socket, data, to): (Resource<UdpSocket>, Vec<u8>, Option<IpSocketAddress>)| {
            Box::pin(async move {
                let _awaits = awaits(store, Awaited::Other);
                let sockets = store.with_getter::<WasiSockets>(T::sockets);
                transferred(WasiSockets::send(&sockets, socket, data, to).await)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]udp-socket.receive",
        |store, (socket,): (Resource<UdpSocket>,)| {
            Box::pin(async move {
                let _awaits = awaits(store, Awaited::Other);
                let sockets = store.with_getter::<WasiSockets>(T::sockets);
                transferred(WasiSockets::receive(&sockets, socket).await)
            })
        },
    )
}

fn transferred<R>(result: SocketResult<R>) -> Returned<R> {
    match result {
        Ok(result) => Ok((Ok(result),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

async fn create(
    mut creator: UdpCreator<'_>,
    family: IpAddressFamily,
) -> Returned<Resource<UdpSocket>> {
    let charged = match creator.allow() {
        Ok(charged) => charged,
        Err(code) => return returned(Err(code)),
    };
    match HostUdpSocket::create(&mut creator.sockets, family).await {
        Ok(socket) => {
            creator.keep(&socket, charged);
            Ok((Ok(socket),))
        }
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}
