//! The handler of WASI 0.3: an asynchronous function that gets what the peer sends as a stream, and returns another
//! one with what the peer is sent.
//!
//! The streams' ends on the host's side are [`Received`] and [`Sent`]; [`known`] implements what a guest can ask of a
//! connection. Here is what is done for one connection; [`several`] does it for an instance that has several.
//!
//! Where it ends: how the connection ends is decided by the [server](crate::server), from what this returns.

mod held;
mod known;
mod received;
mod sent;
mod several;

pub(super) use known::add_types_to_linker;
pub(super) use several::{Supplied, Supply, serve_several};

use super::state::InstanceState;
use crate::bindings::ServedConnection;
use crate::bindings::service_v0_3::Service as AsyncHandler;
use crate::sockets::Endpoint;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use held::Held;
use received::Received;
use sent::{Finish, Sent};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::oneshot::error::RecvError;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};
use wasmtime::{AsContextMut, Store, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// How one direction of a connection has ended.
type Ended = Result<(), ErrorCode>;

/// What a handler returns: what the peer is sent, and how the connection ends.
type Returned = (StreamReader<u8>, FutureReader<Ended>);

/// What a handler is called with.
type Given = (
    Resource<ServedConnection>,
    StreamReader<u8>,
    FutureReader<Ended>,
);

/// Has a handler serve a connection with this number, until it and all that it has started have ended. Returns the
/// text of its error, if it has failed.
pub(super) async fn serve(
    store: &mut Store<InstanceState>,
    handler: &AsyncHandler,
    endpoint: Arc<Endpoint>,
    number: u64,
) -> wasmtime::Result<Result<(), String>> {
    let served = store.run_concurrent(async |accessor| {
        let held = Held::new(&endpoint);
        let served = call(accessor, handler, &endpoint, &held, number).await?;
        if served.is_ok() {
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
        }
        Ok(served)
    });
    served.await?
}

/// Has a handler serve a connection until that has ended as the handler says. Its task may go on.
async fn call(
    accessor: &Accessor<InstanceState>,
    handler: &AsyncHandler,
    endpoint: &Arc<Endpoint>,
    held: &Arc<Held>,
    number: u64,
) -> wasmtime::Result<Result<(), String>> {
    let (connection, received, ended) = give(accessor, endpoint, held, number)?;
    let handler = handler.evconn_tcp_handler();
    match handler
        .call_handle(accessor, connection, received, ended)
        .await?
    {
        Ok(returned) => finish(accessor, endpoint, held, returned).await,
        Err(code) => Ok(Err(text(code))),
    }
}

/// Makes what the handler gets of a connection.
fn give(
    accessor: &Accessor<InstanceState>,
    endpoint: &Arc<Endpoint>,
    held: &Arc<Held>,
    number: u64,
) -> wasmtime::Result<Given> {
    accessor.with(|mut store| {
        let connection = store.get().add_connection(endpoint, number)?;
        let (received, ended) = Received::new(held);
        let received = StreamReader::new(&mut store, received)?;
        let ended = FutureReader::new(&mut store, ended)?;
        Ok((connection, received, ended))
    })
}

/// Sends what the handler has returned, and ends the connection as it says.
async fn finish(
    accessor: &Accessor<InstanceState>,
    endpoint: &Arc<Endpoint>,
    held: &Arc<Held>,
    (stream, future): Returned,
) -> wasmtime::Result<Result<(), String>> {
    let (finish, finished) = Finish::new();
    let sending = accessor.with(|mut store| {
        future.pipe(&mut store, finish)?;
        send(store.as_context_mut(), endpoint, held, stream)
    })?;
    let mut sending = pin!(sending);
    let end = match select(finished, sending.as_mut()).await {
        Either::Left((end, _)) => end,
        Either::Right(((), finished)) => {
            let end = finished.await;
            return Ok(ended(endpoint, end));
        }
    };
    match end {
        // What was written before arrives before the reset.
        Ok(Err(_)) => held.written(sending).await,
        // Without a value, its store has ended.
        Ok(Ok(())) | Err(_) => sending.await,
    }
    Ok(ended(endpoint, end))
}

/// Ends what is sent, as a handler says.
fn ended(endpoint: &Endpoint, end: Result<Ended, RecvError>) -> Result<(), String> {
    if let Ok(Err(code)) = end {
        return Err(text(code));
    }
    endpoint.end_sending();
    Ok(())
}

/// Begins to send what a handler has returned. The future that this returns waits until that has ended.
fn send<'a>(
    mut store: StoreContextMut<'_, InstanceState>,
    endpoint: &'a Endpoint,
    held: &Arc<Held>,
    stream: StreamReader<u8>,
) -> wasmtime::Result<impl Future<Output = ()> + use<'a>> {
    match stream.try_into::<Received>(&mut store) {
        // It is one that a handler was given: the guest has no part in it any more.
        Ok(received) => Ok(Either::Left(received.send_to(endpoint))),
        Err(stream) => {
            let (sent, is_sent) = Sent::new(held);
            stream.pipe(&mut store, sent)?;
            // Its sender is gone with the stream.
            Ok(Either::Right(is_sent.map(drop)))
        }
    }
}

/// Returns an error as the log has it: the guest's own text, or the name of its code.
fn text(code: ErrorCode) -> String {
    match code {
        ErrorCode::Other(text) => text.unwrap_or_else(|| "other".to_owned()),
        ErrorCode::AccessDenied => "access-denied".to_owned(),
        ErrorCode::NotSupported => "not-supported".to_owned(),
        ErrorCode::InvalidArgument => "invalid-argument".to_owned(),
        ErrorCode::OutOfMemory => "out-of-memory".to_owned(),
        ErrorCode::Timeout => "timeout".to_owned(),
        ErrorCode::InvalidState => "invalid-state".to_owned(),
        ErrorCode::AddressNotBindable => "address-not-bindable".to_owned(),
        ErrorCode::AddressInUse => "address-in-use".to_owned(),
        ErrorCode::RemoteUnreachable => "remote-unreachable".to_owned(),
        ErrorCode::ConnectionRefused => "connection-refused".to_owned(),
        ErrorCode::ConnectionBroken => "connection-broken".to_owned(),
        ErrorCode::ConnectionReset => "connection-reset".to_owned(),
        ErrorCode::ConnectionAborted => "connection-aborted".to_owned(),
        ErrorCode::DatagramTooLarge => "datagram-too-large".to_owned(),
    }
}
