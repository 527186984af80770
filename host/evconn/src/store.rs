//! The store state of the long-running components: acceptors and programs.

use crate::files::{FilesView, Operations};
use crate::limits::Allowance;
use crate::sockets::{TcpCtx, TcpCtxView, TcpView};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub(crate) struct StoreState {
    wasi: WasiCtx,
    tcp: TcpCtx,
    operations: Operations,
    pub table: ResourceTable,
    /// The limit of its memory, if there is one.
    pub allowance: Allowance,
}

impl StoreState {
    pub fn new(wasi: WasiCtx, tcp: TcpCtx) -> Self {
        Self {
            wasi,
            tcp,
            operations: Operations::default(),
            table: ResourceTable::new(),
            allowance: Allowance::unlimited(),
        }
    }

    pub fn sockets(&self) -> &TcpCtx {
        &self.tcp
    }
}

impl FilesView for StoreState {
    fn operations(&self) -> &Operations {
        &self.operations
    }
}

impl WasiView for StoreState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl TcpView for StoreState {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
            incoming: None,
        }
    }
}
