//! A program that serves a connection: it listens and accepts by itself, and gets the connection from its virtual
//! listening socket.

use super::backoff::Attempt;
use super::state::ConnectionState;
use crate::sockets::Incoming;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

/// Runs a program until it ends, or has closed its connection and waits for nothing but another one.
pub(super) async fn run(
    store: &mut Store<ConnectionState>,
    program: &Command,
    incoming: &Incoming,
    attempt: Option<&Attempt<'_>>,
) -> wasmtime::Result<Result<(), String>> {
    let mut run = pin!(program.wasi_cli_run().call_run(store));
    let mut has_accepted = false;
    poll_fn(|cx: &mut Context<'_>| {
        let ended = run.as_mut().poll(cx);
        if !has_accepted && incoming.accepted() > 0 {
            has_accepted = true;
            if attempt.is_some_and(Attempt::accepted) {
                tracing::info!("the program accepts connections again");
            }
        }
        match ended {
            Poll::Ready(Ok(Ok(()))) => Poll::Ready(Ok(Ok(()))),
            // What a process would have for its status.
            Poll::Ready(Ok(Err(()))) => Poll::Ready(Err(I32Exit(1).into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if incoming.is_done() => Poll::Ready(Ok(Ok(()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
