//! The state of a guest that may use TCP on loopback addresses, and nowhere else.

use evconn_sockets::{Policy, TcpCtx, TcpCtxView, TcpView};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub struct State {
    wasi: WasiCtx,
    tcp: TcpCtx,
    table: ResourceTable,
}

impl State {
    /// Returns the state of a guest with these arguments.
    pub fn new(args: &[String]) -> Self {
        Self {
            wasi: WasiCtx::builder().inherit_stdio().args(args).build(),
            tcp: TcpCtx::new(Policy::new(|address, _| address.ip().is_loopback())),
            table: ResourceTable::new(),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl TcpView for State {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
            incoming: None,
        }
    }
}
