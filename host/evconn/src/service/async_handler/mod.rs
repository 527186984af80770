//! The handler of WASI 0.3: an asynchronous function that gets what the peer sends as a stream, and returns another
//! one with what the peer is sent.
//!
//! [`returned`] has the host's ends of what a handler returns; [`known`] implements what a guest can ask of a connection.
//! [`rest`] is what is left when it has returned: the host may do that alone, without the instance. Here is what is done
//! for one connection; [`several`] does it for an instance that has several.
//!
//! Where it ends: how the connection ends is decided by the [server](crate::server), from what this returns.

mod held;
mod known;
mod rest;
mod returned;
mod several;

pub(super) use known::add_types_to_linker;
pub(crate) use rest::Rest;
pub(super) use several::{Supplied, Supply, serve_several};

use super::state::InstanceState;
use crate::bindings::ServedConnection;
use crate::bindings::service_v0_3::Service as AsyncHandler;
use crate::sockets::Endpoint;
use crate::sockets::p3::{Ended, Moving, Received, future_of};
use held::Held;
use returned::{Sending, ending};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// What a handler is called with.
type Given = (
    Resource<ServedConnection>,
    StreamReader<u8>,
    FutureReader<Ended>,
);

/// Has a handler serve a connection with this number, until it and all that it has started have ended, or the host can
/// do the rest alone, which is left then. Returns the text of its error, if it has failed.
pub(super) async fn serve(
    store: &mut Store<InstanceState>,
    handler: &AsyncHandler,
    endpoint: Arc<Endpoint>,
    number: u64,
    left: &mut Option<Rest>,
) -> wasmtime::Result<Result<(), String>> {
    let served = store.run_concurrent(async |accessor| {
        let held = Held::new(&endpoint);
        let mut rest = match call(accessor, handler, &endpoint, &held, number).await? {
            Ok(rest) => rest,
            Err(text) => return Ok(Err(text)),
        };
        let concluded = poll_fn(|cx| poll_without_guest(accessor, &mut rest, cx)).await;
        rest.add(take_moving(accessor, None));
        match &concluded {
            Ok(()) if rest.is_over() => rest.end_regularly(),
            Ok(()) => {
                rest.take_over();
                *left = Some(rest);
            }
            Err(_) => {}
        }
        Ok(concluded)
    });
    served.await?
}

/// Waits until a handler has failed, or nothing of the guest is under way and the rest can do without it.
fn poll_without_guest(
    accessor: &Accessor<InstanceState>,
    rest: &mut Rest,
    cx: &mut Context<'_>,
) -> Poll<Result<(), String>> {
    if let Poll::Ready(Err(text)) = rest.poll_conclusion(cx) {
        return Poll::Ready(Err(text.clone()));
    }
    ready!(accessor.poll_no_interesting_tasks(cx));
    // What somebody else in the host reads goes on for as long as the store.
    let has_streams = || accessor.with(|mut store| store.get().relays.has_streams());
    match rest.is_concluded() || rest.is_alone() && !has_streams() {
        true => Poll::Ready(Ok(())),
        false => Poll::Pending,
    }
}

/// Takes the streams that the guest has passed between connections: all of them, or those from the peer of one.
fn take_moving(accessor: &Accessor<InstanceState>, from: Option<&Arc<Endpoint>>) -> Vec<Moving> {
    accessor.with(|mut store| store.get().relays.take_moving(from))
}

/// Calls a handler for a connection. Returns what is left of that when the handler has returned, whose task may go on, or
/// the text of its error.
async fn call(
    accessor: &Accessor<InstanceState>,
    handler: &AsyncHandler,
    endpoint: &Arc<Endpoint>,
    held: &Arc<Held>,
    number: u64,
) -> wasmtime::Result<Result<Rest, String>> {
    let (connection, received, ended) = give(accessor, endpoint, held, number)?;
    let handler = handler.evconn_tcp_handler();
    let called = handler.call_handle(accessor, connection, received, ended);
    let (stream, future) = match called.await? {
        Ok(returned) => returned,
        Err(code) => return Ok(Err(text(code))),
    };
    accessor.with(|mut store| {
        let ending = ending(store.as_context_mut(), future)?;
        let sending = Sending::begin(store.as_context_mut(), endpoint, held, stream)?;
        Ok(Ok(Rest::new(endpoint, held, sending, ending)))
    })
}

/// Makes what the handler gets of a connection.
fn give(
    accessor: &Accessor<InstanceState>,
    endpoint: &Arc<Endpoint>,
    held: &Arc<Held>,
    number: u64,
) -> wasmtime::Result<Given> {
    accessor.with(|mut store| {
        let state = store.get();
        let connection = state.add_connection(endpoint, number)?;
        let live = state.relays.count();
        let (received, ending) = Received::new(Arc::clone(held) as _, Some(live));
        let received = StreamReader::new(&mut store, received)?;
        Ok((connection, received, future_of(&mut store, &ending)?))
    })
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
