//! Counting what a guest waits for whose listening sockets are virtual.

use crate::listen::{Awaited, Awaits, Incoming};
use crate::view::TcpView;
use wasmtime::component::Accessor;

/// Records that a guest waits for this, until what this returns is dropped. None: nobody asks.
pub fn awaits<T: TcpView>(store: &Accessor<T>, what: Awaited) -> Option<Awaits> {
    incoming(store).map(|incoming| incoming.awaits(what))
}

pub fn incoming<T: TcpView>(store: &Accessor<T>) -> Option<Incoming> {
    store.with(|mut access| access.data_mut().tcp().incoming.cloned())
}
