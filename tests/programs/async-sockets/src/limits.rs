//! What a guest may use.

use crate::bindings::wasi::sockets::types::TcpSocket;
use crate::net::local;
use crate::report::outcome;
use crate::run::Run;

crate::cases!(accepting);

/// Three descriptors: the listening socket, and two connections.
async fn accepting(run: &Run) {
    let mut listener = run.listening();
    run.line("listening", local(&listener.socket)).await;
    let first = listener.accept().await;
    let _second = listener.accept().await;
    let created = TcpSocket::create(run.family());
    run.line("create", outcome(&created)).await;
    // An error of accept is a socket on which every call fails with it.
    let failed = listener.accept().await;
    let errors = [
        outcome(&failed.get_remote_address()),
        outcome(&failed.get_local_address()),
        outcome(&failed.receive().1.await),
    ];
    run.line("accept", errors.join(", ")).await;
    drop(failed);
    drop(first);
    // Its connection was not lost.
    let third = listener.accept().await;
    run.line("later", outcome(&third.get_remote_address()))
        .await;
}
