//! What `listener.wasm` imports, for a host that waits by itself: no call of the component ever waits,
//! so none of them needs a stack of its own.

use crate::sockets::p2;
use crate::store::StoreState;
use futures_util::FutureExt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};

/// A linker that has them.
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

/// All streams of an acceptor are sockets', and end without waiting.
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

/// What comes of something that is not to wait.
fn at_once<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    let mut future = pin!(future);
    // A timer that is over lets others have their turn before it says so.
    for _ in 0..2 {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.poll_unpin(&mut context) {
            return Ok(output);
        }
    }
    wasmtime::bail!("the listener component waits, which is for its host to do")
}
