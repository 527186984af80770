//! `wasi:io/poll`: wasmtime-wasi's pollables as they are, and those of sockets in a cheaper way.
//!
//! What waits for a listener, or for a stream of a socket, is in the resource table as a
//! [`SocketPollable`], and is asked without an allocation: an instance that serves many connections asks
//! about all of them whenever it waits.

use super::view::TcpView;
use crate::connection::Endpoint;
use crate::listen::Listener;
use futures_util::future::OptionFuture;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::coop;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceTableError, ResourceType};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll::{Host as _, HostPollable as _};

/// What is ready when something can be read, written or accepted.
#[derive(Clone)]
pub(crate) enum SocketPollable {
    Input(Arc<Endpoint>),
    Output(Arc<Endpoint>),
    Listener(Arc<Listener>),
    /// The stream that it waited for was taken away.
    Revoked,
}

impl SocketPollable {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Input(endpoint) => endpoint.poll_input_ready(cx),
            Self::Output(endpoint) => endpoint.poll_output_ready(cx),
            Self::Listener(listener) => listener.poll_ready(cx),
            Self::Revoked => Poll::Ready(()),
        }
    }

    /// The connection that it waits for.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match self {
            Self::Input(endpoint) | Self::Output(endpoint) => Some(endpoint),
            Self::Listener(_) | Self::Revoked => None,
        }
    }
}

/// Puts one into the table, as a child of the stream or the socket that it is about.
pub(crate) fn push<S: 'static>(
    table: &mut ResourceTable,
    of: &Resource<S>,
    pollable: SocketPollable,
) -> Result<Resource<DynPollable>, ResourceTableError> {
    let pollable = table.push_child(pollable, of)?;
    Ok(Resource::new_own(pollable.rep()))
}

/// Waits until some pollables are ready, and returns their indices in the list. A host that
/// waits for what a guest has subscribed to needs this rather than wasmtime-wasi's implementation for
/// [`ResourceTable`], which does not know the pollables of sockets.
///
/// # Errors
/// If the list is empty, or longer than the table may be, or one of them is not in the table.
pub async fn poll(
    table: &mut ResourceTable,
    pollables: Vec<Resource<DynPollable>>,
) -> wasmtime::Result<Vec<u32>> {
    if pollables.is_empty() {
        wasmtime::bail!(
            "empty poll list: poll takes one pollable at least, and a program that has nothing to wait for does \
             not call it"
        );
    }
    if pollables.len() > table.max_capacity() {
        wasmtime::bail!(
            "poll takes {} pollables at most, as many as the guest may have handles, not {}",
            table.max_capacity(),
            pollables.len()
        );
    }
    // However often it asks, other tasks get their time slice; but within one look all are asked.
    coop::consume_budget().await;
    let mut sockets = Vec::with_capacity(pollables.len());
    let (mut others, mut places) = (Vec::new(), Vec::new());
    for (place, pollable) in (0..).zip(pollables) {
        match socket_pollable(table, &pollable)? {
            Some(pollable) => sockets.push((place, pollable)),
            None => {
                others.push(pollable);
                places.push(place);
            }
        }
    }
    let others = (!others.is_empty()).then(|| table.poll(others));
    let mut others = pin!(OptionFuture::from(others));
    let any_ready = poll_fn(|cx| {
        let is_ready = |(place, pollable): &(u32, SocketPollable)| {
            pollable.poll_ready(cx).is_ready().then_some(*place)
        };
        let mut ready: Vec<u32> = sockets.iter().filter_map(is_ready).collect();
        if !places.is_empty()
            && let Poll::Ready(Some(result)) = others.as_mut().poll(cx)
        {
            match result {
                Ok(indices) => ready.extend(indices.iter().map(|index| places[*index as usize])),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match ready.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Ok(ready)),
        }
    });
    coop::unconstrained(any_ready).await
}

/// Waits until it is ready.
pub async fn block(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<()> {
    coop::consume_budget().await;
    match socket_pollable(table, &pollable)? {
        Some(pollable) => {
            poll_fn(|cx| pollable.poll_ready(cx)).await;
            Ok(())
        }
        None => table.block(pollable).await,
    }
}

/// Whether it is ready.
pub async fn ready(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<bool> {
    match socket_pollable(table, &pollable)? {
        Some(pollable) => {
            coop::consume_budget().await;
            let look = poll_fn(|cx| Poll::Ready(pollable.poll_ready(cx).is_ready()));
            Ok(coop::unconstrained(look).await)
        }
        None => table.ready(pollable).await,
    }
}

/// Takes a pollable out of the table, whatever it waits for.
///
/// # Errors
/// If it is not there.
pub fn delete_pollable(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<()> {
    match socket_pollable(table, &pollable)? {
        Some(_) => {
            table.delete(Resource::<SocketPollable>::new_own(pollable.rep()))?;
            Ok(())
        }
        None => table.drop(pollable),
    }
}

fn socket_pollable(
    table: &mut ResourceTable,
    pollable: &Resource<DynPollable>,
) -> Result<Option<SocketPollable>, ResourceTableError> {
    let any = table.get_any_mut(pollable.rep())?;
    Ok(any.downcast_ref::<SocketPollable>().cloned())
}

/// Defines the interface's functions, or replace them.
pub(crate) fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:io/poll@0.2.12")?;
    interface.resource(
        "pollable",
        ResourceType::host::<DynPollable>(),
        |mut store: StoreContextMut<'_, T>, index| {
            delete_pollable(store.data_mut().tcp().table, Resource::new_own(index))
        },
    )?;
    interface.func_wrap_async(
        "poll",
        |mut store: StoreContextMut<'_, T>, (pollables,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move {
                let table = store.data_mut().tcp().table;
                Ok((poll(table, pollables).await?,))
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]pollable.ready",
        |mut store: StoreContextMut<'_, T>, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move {
                let table = store.data_mut().tcp().table;
                Ok((ready(table, pollable).await?,))
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]pollable.block",
        |mut store: StoreContextMut<'_, T>, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move {
                let table = store.data_mut().tcp().table;
                block(table, pollable).await
            })
        },
    )
}
