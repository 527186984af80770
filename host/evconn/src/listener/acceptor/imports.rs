//! What `listener.wasm` imports. The host waits for the component: none of the component's calls waits,
//! so none needs a stack of its own.

use crate::sockets::p2;
use crate::store::StoreState;
use futures_util::FutureExt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};

/// Returns a linker with these imports.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<StoreState>> {
    let mut linker = Linker::new(engine);
    p2::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    add_poll(&mut linker)?;
    add_drops(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

fn add_poll(linker: &mut Linker<StoreState>) -> wasmtime::Result<()> {
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap(
        "poll",
        |mut store: StoreContextMut<'_, StoreState>,
         (pollables,): (Vec<Resource<DynPollable>>,)| {
            let ready = p2::poll(&mut store.data_mut().table, pollables);
            Ok((at_once(ready)??,))
        },
    )?;
    poll.func_wrap(
        "[method]pollable.ready",
        |mut store: StoreContextMut<'_, StoreState>, (pollable,): (Resource<DynPollable>,)| {
            let ready = p2::ready(&mut store.data_mut().table, pollable);
            Ok((at_once(ready)??,))
        },
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |mut store: StoreContextMut<'_, StoreState>, (pollable,): (Resource<DynPollable>,)| {
            at_once(p2::block(&mut store.data_mut().table, pollable))?
        },
    )
}

/// Adds functions that drop streams. All streams of an acceptor are those of sockets, whose end does not
/// have to be waited for.
fn add_drops(linker: &mut Linker<StoreState>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    streams.resource(
        "input-stream",
        ResourceType::host::<DynInputStream>(),
        |mut store, index| {
            let dropped = p2::drop_input(&mut store.data_mut().table, index);
            at_once(dropped)?
        },
    )?;
    streams.resource(
        "output-stream",
        ResourceType::host::<DynOutputStream>(),
        |mut store, index| {
            let dropped = p2::drop_output(&mut store.data_mut().table, index);
            at_once(dropped)?
        },
    )
}

/// Polls a future that does not have to wait, and returns its output.
fn at_once<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    let mut future = pin!(future);
    // A timer that has elapsed may yield to other tasks once before it is ready.
    for _ in 0..2 {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.poll_unpin(&mut context) {
            return Ok(output);
        }
    }
    wasmtime::bail!("the listener component waits, which only its host may do")
}
