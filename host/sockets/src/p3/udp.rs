//! `udp-socket.create`, for guests that are told apart by whether they may have UDP sockets.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use super::tcp::{Returned, returned};
use crate::udp::{UdpCreator, drop_udp_socket, udp_creator};
use crate::view::TcpView;
use wasmtime::component::{LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::p3::bindings::sockets::types::{HostUdpSocket, IpAddressFamily};
use wasmtime_wasi::sockets::UdpSocket;

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
