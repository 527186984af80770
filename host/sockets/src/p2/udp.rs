//! `wasi:sockets/udp-create-socket`, for guests that are told apart by whether they may have UDP sockets.
//!
//! Where it ends: the sockets are wasmtime-wasi's.

use crate::udp::{UdpCreator, drop_udp_socket, udp_creator};
use crate::view::TcpView;
use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::{IoError, Network, SocketError, SocketResult, UdpSocket};

struct Udp;

impl HasData for Udp {
    type Data<'a> = UdpCreator<'a>;
}

/// All that follows the one function is wasmtime-wasi's.
impl network::Host for UdpCreator<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.sockets.convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets.network_error_code(error)
    }
}

impl network::HostNetwork for UdpCreator<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl udp_create_socket::Host for UdpCreator<'_> {
    async fn create_udp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        let charged = self.allow()?;
        let socket = udp_create_socket::Host::create_udp_socket(&mut self.sockets, family).await?;
        self.keep(&socket, charged);
        Ok(socket)
    }
}

/// Has guests told apart who may have UDP sockets, and tell of those who may not. Has sockets charged.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    udp_create_socket::add_to_linker::<T, Udp>(linker, udp_creator::<T>)?;
    linker.instance("wasi:sockets/udp@0.2.12")?.resource(
        "udp-socket",
        ResourceType::host::<UdpSocket>(),
        |mut store: StoreContextMut<'_, T>, index| {
            drop_udp_socket::<T, UdpSocket>(store.data_mut(), index)
        },
    )
}
