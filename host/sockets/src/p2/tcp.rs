//! `wasi:sockets/network`, `instance-network`, `tcp` and `tcp-create-socket`: each function finds its socket in
//! the table and has it do the work.

use super::bindings::wasi::sockets::{tcp, tcp_create_socket};
use super::pollables::{self, SocketPollable};
use super::table;
use crate::connection::Endpoint;
use crate::error;
use crate::listen::AnyListener;
use crate::socket::TcpSocket;
use crate::socket::option::{self, SocketOption};
use crate::view::TcpCtxView;
use rustix::net::Shutdown;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::instance_network;
use wasmtime_wasi::p2::bindings::sockets::network::{
    self, ErrorCode, IpAddressFamily, IpSocketAddress,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, IoError, Network, Pollable, SocketError,
    SocketResult,
};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};

impl network::Host for TcpCtxView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        let error = error.downcast_ref::<io::Error>();
        Ok(error.map(|error| error::ErrorCode::from(error).into()))
    }
}

impl network::HostNetwork for TcpCtxView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl instance_network::Host for TcpCtxView<'_> {
    /// The resource is wasmtime-wasi's: its UDP sockets and its name look-up take the same.
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        let mut view = WasiSocketsCtxView {
            ctx: &mut WasiSocketsCtx::default(),
            table: &mut *self.table,
        };
        instance_network::Host::instance_network(&mut view)
    }
}

impl tcp_create_socket::Host for TcpCtxView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = TcpSocket::new(self.ctx, family.into(), self.incoming)?;
        Ok(self.table.push(socket)?)
    }
}

impl TcpCtxView<'_> {
    fn socket(&mut self, socket: &Resource<TcpSocket>) -> SocketResult<&mut TcpSocket> {
        Ok(self.table.get_mut(socket)?)
    }

    fn get<T: Copy>(
        &mut self,
        socket: &Resource<TcpSocket>,
        option: &SocketOption<T>,
    ) -> SocketResult<T> {
        Ok(self.socket(socket)?.get(option)?)
    }

    fn set<T: Copy>(
        &mut self,
        socket: &Resource<TcpSocket>,
        option: &SocketOption<T>,
        value: T,
    ) -> SocketResult<()> {
        Ok(self.socket(socket)?.set(option, value)?)
    }

    fn push_streams(
        &mut self,
        socket: &Resource<TcpSocket>,
        endpoint: &Arc<Endpoint>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        Ok(table::push(self.table, socket, endpoint)?)
    }
}

impl tcp::Host for TcpCtxView<'_> {}

impl tcp::HostTcpSocket for TcpCtxView<'_> {
    fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        Ok(self
            .socket(&socket)?
            .start_bind(SocketAddr::from(address))?)
    }

    fn finish_bind(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&socket)?.finish_bind()?)
    }

    fn start_connect(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        Ok(self
            .socket(&socket)?
            .start_connect(SocketAddr::from(address))?)
    }

    fn finish_connect(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let endpoint = self.socket(&socket)?.finish_connect()?;
        self.push_streams(&socket, &endpoint)
    }

    fn start_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&socket)?.start_listen()?)
    }

    fn finish_listen(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        Ok(self.socket(&socket)?.finish_listen()?)
    }

    fn accept(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(
        Resource<TcpSocket>,
        Resource<DynInputStream>,
        Resource<DynOutputStream>,
    )> {
        let (accepted, endpoint) = self.socket(&socket)?.accept()?;
        let accepted = self.table.push(accepted)?;
        let (input, output) = self.push_streams(&accepted, &endpoint)?;
        Ok((accepted, input, output))
    }

    fn local_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&socket)?.local_address()?.into())
    }

    fn remote_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&socket)?.remote_address()?.into())
    }

    fn is_listening(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&socket)?.is_listening())
    }

    fn address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.table.get(&socket)?.family().into())
    }

    fn set_listen_backlog_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        Ok(self.socket(&socket)?.set_backlog(value)?)
    }

    fn keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> SocketResult<bool> {
        self.get(&socket, &option::KEEP_ALIVE_ENABLED)
    }

    fn set_keep_alive_enabled(
        &mut self,
        socket: Resource<TcpSocket>,
        value: bool,
    ) -> SocketResult<()> {
        self.set(&socket, &option::KEEP_ALIVE_ENABLED, value)
    }

    fn keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        self.get(&socket, &option::KEEP_ALIVE_IDLE_TIME)
    }

    fn set_keep_alive_idle_time(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        self.set(&socket, &option::KEEP_ALIVE_IDLE_TIME, value)
    }

    fn keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        self.get(&socket, &option::KEEP_ALIVE_INTERVAL)
    }

    fn set_keep_alive_interval(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        self.set(&socket, &option::KEEP_ALIVE_INTERVAL, value)
    }

    fn keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u32> {
        self.get(&socket, &option::KEEP_ALIVE_COUNT)
    }

    fn set_keep_alive_count(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u32,
    ) -> SocketResult<()> {
        self.set(&socket, &option::KEEP_ALIVE_COUNT, value)
    }

    fn hop_limit(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u8> {
        self.get(&socket, &option::HOP_LIMIT)
    }

    fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, value: u8) -> SocketResult<()> {
        self.set(&socket, &option::HOP_LIMIT, value)
    }

    fn receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        self.get(&socket, &option::RECEIVE_BUFFER_SIZE)
    }

    fn set_receive_buffer_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        self.set(&socket, &option::RECEIVE_BUFFER_SIZE, value)
    }

    fn send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        self.get(&socket, &option::SEND_BUFFER_SIZE)
    }

    fn set_send_buffer_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> SocketResult<()> {
        self.set(&socket, &option::SEND_BUFFER_SIZE, value)
    }

    fn subscribe(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let found = self.table.get(&socket)?;
        let pollable = match found.listener() {
            Some(AnyListener::System(listener)) => {
                Some(SocketPollable::Listener(Arc::clone(listener)))
            }
            Some(AnyListener::Virtual(listener)) => {
                Some(SocketPollable::Virtual(Arc::clone(listener)))
            }
            None => found
                .is_virtual()
                .then(|| SocketPollable::Socket(socket.rep())),
        };
        match pollable {
            Some(pollable) => Ok(pollables::push(self.table, &socket, pollable)?),
            None => wasmtime_wasi::p2::subscribe(self.table, socket),
        }
    }

    fn shutdown(
        &mut self,
        socket: Resource<TcpSocket>,
        shutdown_type: tcp::ShutdownType,
    ) -> SocketResult<()> {
        let how = match shutdown_type {
            tcp::ShutdownType::Receive => Shutdown::Read,
            tcp::ShutdownType::Send => Shutdown::Write,
            tcp::ShutdownType::Both => Shutdown::Both,
        };
        Ok(self.socket(&socket)?.shutdown(how)?)
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?.dropped();
        Ok(())
    }
}

#[async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        Self::ready(self).await;
    }
}
