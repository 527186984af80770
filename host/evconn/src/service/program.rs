//! A program that serves a connection: it listens and accepts by itself, and gets the connection from its virtual
//! listening socket.
//!
//! [`idle`] finds out whether one of WASI 0.3 waits.

mod idle;

use super::state::InstanceState;
use crate::sockets::Incoming;
use idle::Idle;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use wasmtime::component::Accessor;
use wasmtime::{Store, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p3::bindings::Command as AsyncCommand;

/// How a program has ended: with what a process would have for its status.
type Ended = wasmtime::Result<Result<(), ()>>;

/// A program that was instantiated.
pub(super) enum Program {
    Sync(Command),
    /// One of WASI 0.3.
    Async(AsyncCommand),
}

impl Program {
    /// Runs it until it ends, or `is_over` says that it is not needed any more: this is asked after each poll, with whether
    /// the program waits for something.
    pub async fn run(
        &self,
        store: &mut Store<InstanceState>,
        incoming: &Incoming,
        is_over: impl FnMut(&mut Context<'_>, bool) -> bool,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::Sync(program) => run(store, program, incoming, is_over).await,
            Self::Async(program) => run_async(store, program, incoming, is_over).await,
        }
    }
}

async fn run(
    store: &mut Store<InstanceState>,
    program: &Command,
    incoming: &Incoming,
    mut is_over: impl FnMut(&mut Context<'_>, bool) -> bool,
) -> wasmtime::Result<Result<(), String>> {
    let mut over = Some(Over::trap(store));
    let mut run = pin!(program.wasi_cli_run().call_run(store));
    poll_fn(|cx: &mut Context<'_>| {
        let mut ended = run.as_mut().poll(cx);
        let is_over = is_over(cx, ended.is_pending());
        if ended.is_pending()
            && is_over
            && incoming.is_awaited()
            && let Some(over) = over.take()
        {
            incoming.end(over);
            ended = run.as_mut().poll(cx);
        }
        match ended {
            Poll::Ready(Err(error)) if error.is::<Over>() => Poll::Ready(Ok(Ok(()))),
            Poll::Ready(ended) => Poll::Ready(result(ended)),
            Poll::Pending if is_over => Poll::Ready(Ok(Ok(()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Does the same with a program of WASI 0.3, until all that it has started has ended, too. What is left of it when it is
/// not needed any more goes with its store.
async fn run_async(
    store: &mut Store<InstanceState>,
    program: &AsyncCommand,
    incoming: &Incoming,
    mut is_over: impl FnMut(&mut Context<'_>, bool) -> bool,
) -> wasmtime::Result<Result<(), String>> {
    let idle = Idle::default();
    let mut run = pin!(store.run_concurrent(async |accessor| {
        let mut run = pin!(to_the_end(accessor, program));
        poll_fn(|cx| {
            idle.event_loop_is_reached();
            run.as_mut().poll(cx)
        })
        .await
    }));
    poll_fn(|cx: &mut Context<'_>| {
        let (ended, is_idle) = idle.poll(cx, run.as_mut(), || incoming.may_be_awaited());
        incoming.set_idle(is_idle);
        let is_over = is_over(cx, ended.is_pending());
        match ended {
            Poll::Ready(ended) => Poll::Ready(result(ended.flatten())),
            Poll::Pending if is_over => Poll::Ready(Ok(Ok(()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn to_the_end(accessor: &Accessor<InstanceState>, program: &AsyncCommand) -> Ended {
    let ended = program.wasi_cli_run().call_run(accessor).await?;
    if ended.is_ok() {
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
    }
    Ok(ended)
}

fn result(ended: Ended) -> wasmtime::Result<Result<(), String>> {
    match ended? {
        Ok(()) => Ok(Ok(())),
        // What a process would have for its status.
        Err(()) => Err(I32Exit(1).into()),
    }
}

/// A program that waits for connections is not needed any more.
#[derive(Debug, thiserror::Error)]
#[error("the program is not needed any more")]
struct Over;

impl Over {
    /// Returns what it traps with. Dropping its call would make it trap, too, and take wasmtime a tenth of a short
    /// connection's time for a backtrace that nobody looks at; here is one of a store in which nothing runs.
    fn trap(store: &Store<InstanceState>) -> wasmtime::Error {
        wasmtime::Error::new(Self).context(WasmBacktrace::capture(store))
    }
}
