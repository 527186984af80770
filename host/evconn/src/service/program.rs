//! A program that serves a connection: it listens and accepts by itself, and gets the connection from its virtual
//! listening socket.

use super::state::InstanceState;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

/// Runs a program until it ends, or `is_over` says that it is not needed any more: this is asked after each poll, with
/// whether the program waits for something.
pub(super) async fn run(
    store: &mut Store<InstanceState>,
    program: &Command,
    mut is_over: impl FnMut(&mut Context<'_>, bool) -> bool,
) -> wasmtime::Result<Result<(), String>> {
    let mut run = pin!(program.wasi_cli_run().call_run(store));
    poll_fn(|cx: &mut Context<'_>| {
        let ended = run.as_mut().poll(cx);
        let is_over = is_over(cx, ended.is_pending());
        match ended {
            Poll::Ready(Ok(Ok(()))) => Poll::Ready(Ok(Ok(()))),
            // What a process would have for its status.
            Poll::Ready(Ok(Err(()))) => Poll::Ready(Err(I32Exit(1).into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if is_over => Poll::Ready(Ok(Ok(()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
