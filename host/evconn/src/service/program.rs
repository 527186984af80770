//! A program that serves a connection: it listens and accepts by itself, and gets the connection from its virtual
//! listening socket.

use super::state::InstanceState;
use crate::sockets::Incoming;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use wasmtime::{Store, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

/// Runs a program until it ends, or `is_over` says that it is not needed any more: this is asked after each poll, with
/// whether the program waits for something.
pub(super) async fn run(
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
            Poll::Ready(Ok(Ok(()))) => Poll::Ready(Ok(Ok(()))),
            // What a process would have for its status.
            Poll::Ready(Ok(Err(()))) => Poll::Ready(Err(I32Exit(1).into())),
            Poll::Ready(Err(error)) if error.is::<Over>() => Poll::Ready(Ok(Ok(()))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if is_over => Poll::Ready(Ok(Ok(()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
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
