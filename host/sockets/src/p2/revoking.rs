//! Taking connections away from a guest that has not dropped them.

use crate::p2::pollables::SocketPollable;
use crate::{Endpoint, Input, Output, TcpSocket};
use std::any::Any;
use std::sync::Arc;
use wasmtime::component::ResourceTable;

/// Take a connection away from a guest that is done with it and has not dropped it: what the guest still
/// has of it is closed from here on, and stays in the table until it is dropped. `left` is one of the
/// handles that it was given. Returns whether there were any.
pub fn revoke(table: &mut ResourceTable, left: [u32; 3], connection: &Arc<Endpoint>) -> bool {
    let mut is_left = |index| {
        table
            .get_any_mut(index)
            .is_ok_and(|entry| is_of(entry, connection))
    };
    // What waits for a stream is gone before the stream is.
    let any_left = left.into_iter().any(&mut is_left);
    if any_left {
        for entry in table.iter_mut() {
            revoke_entry(entry, connection);
        }
    }
    any_left
}

fn is_of(entry: &dyn Any, connection: &Arc<Endpoint>) -> bool {
    if let Some(input) = entry.downcast_ref::<Input>() {
        input.is_of(connection)
    } else if let Some(output) = entry.downcast_ref::<Output>() {
        output.is_of(connection)
    } else if let Some(pollable) = entry.downcast_ref::<SocketPollable>() {
        pollable.is_of(connection)
    } else if let Some(socket) = entry.downcast_ref::<TcpSocket>() {
        let endpoint = socket.endpoint();
        endpoint.is_some_and(|endpoint| Arc::ptr_eq(endpoint, connection))
    } else {
        false
    }
}

fn revoke_entry(entry: &mut dyn Any, connection: &Arc<Endpoint>) {
    if !is_of(entry, connection) {
        return;
    }
    if let Some(input) = entry.downcast_mut::<Input>() {
        input.revoke();
    } else if let Some(output) = entry.downcast_mut::<Output>() {
        output.revoke();
    } else if let Some(pollable) = entry.downcast_mut::<SocketPollable>() {
        *pollable = SocketPollable::Revoked;
    } else if let Some(socket) = entry.downcast_mut::<TcpSocket>() {
        socket.revoke();
    }
}

/// Have all connections in a table end in a reset: whoever has them did not come to a regular end.
pub fn reset_all(table: &mut ResourceTable) {
    let entries = table.iter_mut();
    let sockets = entries.filter_map(|entry| (entry as &dyn Any).downcast_ref::<TcpSocket>());
    sockets
        .filter_map(TcpSocket::endpoint)
        .for_each(|endpoint| endpoint.reset());
}
