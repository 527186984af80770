//! Connections that are taken from one store and given to another, or taken away from a guest.

use super::input::Input;
use super::output::Output;
use super::pollables::SocketPollable;
use super::table;
use crate::connection::Endpoint;
use crate::policy::TcpCtx;
use crate::socket::TcpSocket;
use std::any::Any;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

/// The handles of a connection: its socket and its streams.
pub type Handles = (
    Resource<TcpSocket>,
    Resource<DynInputStream>,
    Resource<DynOutputStream>,
);

/// Takes a connection out of a table, whole: nothing of it ends.
///
/// # Errors
/// If a handle is not of this connection, or has children in the table; or if the socket is not connected.
pub fn take(
    table: &mut ResourceTable,
    (socket, input, output): Handles,
) -> wasmtime::Result<Arc<Endpoint>> {
    let endpoint = table.get(&socket)?.endpoint().cloned();
    let endpoint = endpoint.ok_or_else(|| wasmtime::format_err!("the socket is not connected"))?;
    // The streams are the socket's children: they leave the table first.
    table.delete(Resource::<Input>::new_own(input.rep()))?;
    table.delete(Resource::<Output>::new_own(output.rep()))?;
    table.delete(socket)?;
    Ok(endpoint)
}

/// Puts a connection into a table, for a guest whose sockets have these rules.
///
/// # Errors
/// If the table is full.
pub fn give(
    table: &mut ResourceTable,
    ctx: &TcpCtx,
    endpoint: &Arc<Endpoint>,
) -> Result<Handles, ResourceTableError> {
    let socket = table.push(TcpSocket::from_endpoint(ctx, Arc::clone(endpoint)))?;
    let (input, output) = table::push(table, &socket, endpoint)?;
    Ok((socket, input, output))
}

/// Takes a connection away from a guest that is done with it and has not dropped it: what the guest still
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
    let endpoint = if let Some(input) = entry.downcast_ref::<Input>() {
        input.endpoint()
    } else if let Some(output) = entry.downcast_ref::<Output>() {
        output.endpoint()
    } else if let Some(pollable) = entry.downcast_ref::<SocketPollable>() {
        pollable.endpoint()
    } else {
        let socket = entry.downcast_ref::<TcpSocket>();
        socket.and_then(TcpSocket::endpoint)
    };
    endpoint.is_some_and(|endpoint| Arc::ptr_eq(endpoint, connection))
}

fn revoke_entry(entry: &mut dyn Any, connection: &Arc<Endpoint>) {
    if !is_of(entry, connection) {
        return;
    }
    if let Some(input) = entry.downcast_mut::<Input>() {
        input.revoke();
    } else if let Some(output) = entry.downcast_mut::<Output>() {
        output.end();
    } else if let Some(pollable) = entry.downcast_mut::<SocketPollable>() {
        *pollable = SocketPollable::Revoked;
    } else if let Some(socket) = entry.downcast_mut::<TcpSocket>() {
        socket.revoke();
    }
}

/// Has all connections in a table end in a reset: whoever has them did not come to a regular end. How a connection
/// ends that is [held](Endpoint::hold_end) is left to the host.
pub fn reset_all(table: &mut ResourceTable) {
    crate::view::reset_sockets(table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::transport::Plain;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// A connection in a table, and its peer.
    fn given(table: &mut ResourceTable, ctx: &TcpCtx) -> (Handles, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).expect("connected");
        let timeout = Some(Duration::from_secs(60));
        peer.set_read_timeout(timeout).expect("set");
        let (stream, address) = listener.accept().expect("accepted");
        stream.set_nonblocking(true).expect("set");
        let endpoint = Arc::new(Endpoint::new(Plain::tcp(stream), address));
        (give(table, ctx, &endpoint).expect("room"), peer)
    }

    fn is_open(mut peer: &TcpStream) -> bool {
        peer.set_nonblocking(true).expect("set");
        let found = peer.read(&mut [0]);
        peer.set_nonblocking(false).expect("set");
        matches!(found, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn a_connection_that_is_taken_goes_on_in_another_table() {
        let ctx = TcpCtx::new(Policy::deny_all());
        let (mut first, mut second) = (ResourceTable::new(), ResourceTable::new());
        let (handles, mut peer) = given(&mut first, &ctx);
        let endpoint = take(&mut first, handles).expect("all of it");
        assert!(first.is_empty());
        drop(first);
        assert!(is_open(&peer));
        let (_, input, _) = give(&mut second, &ctx, &endpoint).expect("room");
        drop(endpoint);
        peer.write_all(b"x").expect("sent");
        let input = Resource::<Input>::new_borrow(input.rep());
        let input = second.get_mut(&input).expect("it is there");
        assert_eq!(input.read_next(8).await.expect("bytes")[..], *b"x");
        drop(second);
        assert_eq!(peer.read(&mut [0]).expect("a regular end"), 0);
    }

    #[tokio::test]
    async fn what_waits_for_a_connection_keeps_it_from_being_taken() {
        let ctx = TcpCtx::new(Policy::deny_all());
        let mut table = ResourceTable::new();
        let ((socket, input, output), _peer) = given(&mut table, &ctx);
        let stream = Resource::<Input>::new_borrow(input.rep());
        let pollable = table.get(&stream).expect("it is there").pollable();
        crate::p2::pollables::push(&mut table, &stream, pollable).expect("room");
        take(&mut table, (socket, input, output)).expect_err("it has children");
    }

    #[tokio::test]
    async fn a_connection_that_is_reset_with_all_others_is_no_regular_end() {
        let mut table = ResourceTable::new();
        let (_, mut peer) = given(&mut table, &TcpCtx::new(Policy::deny_all()));
        reset_all(&mut table);
        drop(table);
        let error = peer.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
