//! A store's view of its sockets.

use crate::listen::Incoming;
use crate::policy::TcpCtx;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiView;

/// What the interfaces work on.
pub struct TcpCtxView<'a> {
    /// The rules for the store's sockets.
    pub ctx: &'a mut TcpCtx,
    /// Where the sockets and their streams are: the table of all of the store's WASI resources.
    pub table: &'a mut ResourceTable,
    /// The connections that the store's listening sockets get, if these are to be virtual. None: they are the
    /// operating system's.
    pub incoming: Option<&'a Incoming>,
}

/// Gives access to a store's sockets. Implemented for the store's data.
pub trait TcpView: WasiView {
    /// The context and the table; the table is that of [`WasiView::ctx`].
    fn tcp(&mut self) -> TcpCtxView<'_>;
}
