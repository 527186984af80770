//! Linked with the host's own sockets.

pub use evconn::sockets::TcpSocket;
pub use evconn::sockets::p2::{add_to_linker, delete_pollable, delete_streams, poll};

use evconn::sockets::p2::bindings::wasi::sockets::tcp::HostTcpSocket;
use evconn::sockets::p2::bindings::wasi::sockets::tcp_create_socket::Host as _;
use evconn::sockets::{Policy, TcpCtx, TcpCtxView, TcpView};
use std::net::SocketAddr;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, Network, SocketResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// The outcome of creating a listener on a socket that is being bound: it has no address yet, or is busy.
pub const BIND_IN_PROGRESS: &str = "bind in progress: invalid-state";

/// Whether an output stream can be dropped before the kernel has taken everything that was written.
pub const SENDS_IN_BACKGROUND: bool = true;

pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "evconn:tcp/provider",
        exports: { default: async },
        with: {
            "wasi:sockets/tcp": ::evconn::sockets::p2::bindings::wasi::sockets::tcp,
            "wasi": wasmtime_wasi::p2::bindings,
        },
    });
}

pub struct Ctx {
    wasi: WasiCtx,
    tcp: TcpCtx,
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
        Self {
            wasi: wasi.build(),
            tcp: TcpCtx::new(Policy::new(move |address, _| grant(address))),
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

impl TcpView for Ctx {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
            incoming: None,
        }
    }
}

pub type Accepted = (
    Resource<TcpSocket>,
    Resource<DynInputStream>,
    Resource<DynOutputStream>,
);

pub fn accept(ctx: &mut Ctx, socket: Resource<TcpSocket>) -> SocketResult<Accepted> {
    ctx.tcp().accept(socket)
}

pub fn create_socket(ctx: &mut Ctx) -> SocketResult<Resource<TcpSocket>> {
    ctx.tcp().create_tcp_socket(IpAddressFamily::Ipv4)
}

pub async fn bind_socket(
    ctx: &mut Ctx,
    socket: &Resource<TcpSocket>,
    address: IpSocketAddress,
) -> SocketResult<()> {
    let mut sockets = ctx.tcp();
    let network = sockets.instance_network().expect("the network");
    let network_index = network.rep();
    let borrowed = || Resource::new_borrow(socket.rep());
    sockets.start_bind(borrowed(), network, address)?;
    sockets.finish_bind(borrowed())?;
    let network = Resource::<Network>::new_own(network_index);
    ctx.table.delete(network)?;
    Ok(())
}
