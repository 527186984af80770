//! A store's view of its sockets.

use crate::listen::Incoming;
use crate::policy::{Resettable, TcpCtx};
use crate::relay::Relays;
use crate::socket::TcpSocket;
use std::any::Any;
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

    /// The streams and futures of the host's own that a guest of WASI 0.3 has, for a host that gives up a guest in which
    /// nothing else is under way. Defaults to none: the guest is kept to its end.
    fn relays(&mut self) -> Option<&mut Relays> {
        None
    }
}

impl TcpCtxView<'_> {
    /// Records that the guest has ended: what of a connection is dropped from here on is not dropped by the guest.
    ///
    /// A guest of WASI 0.3 has streams that are no resources, and that are dropped with the store. Without this, its
    /// connections end as if the guest had dropped them just before: with FIN. After it, a connection whose end is
    /// [left to the guest](crate::Endpoint::leave_end_to_guest) is the host's to end.
    pub fn end_guest(&mut self) {
        self.ctx.life().end();
    }

    /// Has all connections of the guest end in a reset: it did not come to a regular end, and nothing that it drops
    /// from here on is one. How a connection ends that is [held](crate::Endpoint::hold_end) is left to the host.
    ///
    /// To be called before the store is dropped, if its guest may be of WASI 0.3.
    pub fn reset_all(&mut self) {
        self.end_guest();
        reset_sockets(self.table);
        self.ctx.life().reset_all();
    }
}

/// Resets the connections whose sockets are in a table.
pub(crate) fn reset_sockets(table: &mut ResourceTable) {
    let entries = table.iter_mut();
    let sockets = entries.filter_map(|entry| (entry as &dyn Any).downcast_ref::<TcpSocket>());
    sockets
        .filter_map(TcpSocket::endpoint)
        .for_each(|endpoint| endpoint.reset_with_guest());
}
