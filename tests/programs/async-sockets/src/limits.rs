//! What a guest may use.

use crate::bindings::wasi::sockets::types::TcpSocket;
use crate::net::local;
use crate::report::{outcome, yes};
use crate::run::Run;
use futures_util::FutureExt;

crate::cases!(accepting);

/// Three descriptors: the listening socket, and two connections.
async fn accepting(run: &Run) {
    let mut listener = run.listening();
    run.line("listening", local(&listener.socket)).await;
    let first = listener.accept().await;
    let _second = listener.accept().await;
    let created = TcpSocket::create(run.family());
    run.line("create", outcome(&created)).await;
    let mut third = Box::pin(listener.connections.next());
    run.line("at once", yes(third.as_mut().now_or_never().is_some()))
        .await;
    drop(first);
    run.line("later", yes(third.await.is_some())).await;
}
