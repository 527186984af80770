//! Linked with wasmtime-wasi's sockets.

pub use wasmtime_wasi::p2::TcpSocket;
pub use wasmtime_wasi::p2::add_to_linker_async as add_to_linker;

use std::net::SocketAddr;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::bindings::io;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, Network, SocketResult};
use wasmtime_wasi::sockets::WasiSocketsView;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// The outcome of creating a listener on a socket that is being bound: it has no address yet, or is busy.
pub const BIND_IN_PROGRESS: &str = "bind in progress: concurrency-conflict";

/// Whether an output stream can be dropped before the kernel has taken everything that was written.
pub const SENDS_IN_BACKGROUND: bool = false;

pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "evconn:tcp/provider",
        exports: { default: async },
        with: {
            "wasi": wasmtime_wasi::p2::bindings,
        },
    });
}

pub struct Ctx {
    wasi: WasiCtx,
    table: ResourceTable,
    /// The error with which every accept fails, if the test needs one.
    pub accept_fails: Option<ErrorCode>,
}

impl Ctx {
    /// A store's data, in which the addresses may be used for which `grant` returns true.
    pub fn new(
        mut wasi: WasiCtxBuilder,
        grant: impl Fn(SocketAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        wasi.allow_tcp(true).socket_addr_check(move |address, _| {
            let granted = grant(address);
            Box::pin(async move { granted })
        });
        Self {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            accept_fails: None,
        }
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

pub type Accepted = (
    Resource<TcpSocket>,
    Resource<DynInputStream>,
    Resource<DynOutputStream>,
);

pub fn accept(ctx: &mut Ctx, socket: Resource<TcpSocket>) -> SocketResult<Accepted> {
    ctx.sockets().accept(socket)
}

pub fn create_socket(ctx: &mut Ctx) -> SocketResult<Resource<TcpSocket>> {
    ctx.sockets().create_tcp_socket(IpAddressFamily::Ipv4)
}

pub async fn poll(
    table: &mut ResourceTable,
    pollables: Vec<Resource<DynPollable>>,
) -> wasmtime::Result<Vec<u32>> {
    io::poll::Host::poll(table, pollables).await
}

pub fn delete_pollable(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<()> {
    io::poll::HostPollable::drop(table, pollable)
}

pub fn delete_streams(
    table: &mut ResourceTable,
    input: Resource<DynInputStream>,
    output: Resource<DynOutputStream>,
) -> Result<(), ResourceTableError> {
    table.delete(input)?;
    table.delete(output)?;
    Ok(())
}

pub async fn bind_socket(
    ctx: &mut Ctx,
    socket: &Resource<TcpSocket>,
    address: IpSocketAddress,
) -> SocketResult<()> {
    let mut sockets = ctx.sockets();
    let network = sockets.instance_network().expect("the network");
    let network_index = network.rep();
    let borrowed = || Resource::new_borrow(socket.rep());
    sockets.start_bind(borrowed(), network, address).await?;
    sockets.finish_bind(borrowed())?;
    let network = Resource::<Network>::new_own(network_index);
    ctx.table.delete(network)?;
    Ok(())
}
