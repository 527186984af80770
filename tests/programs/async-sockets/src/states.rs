//! What each call comes to in each state of a socket.

use crate::bindings::wasi::sockets::types::TcpSocket;
use crate::bindings::wit_stream;
use crate::net::{bind, connect, local};
use crate::report::{outcome, yes};
use crate::run::Run;

crate::cases!(unbound, bound, listening, connected, closed);

async fn unbound(run: &Run) {
    report(run, &run.socket()).await;
}

async fn bound(run: &Run) {
    report(run, &run.bound()).await;
}

async fn listening(run: &Run) {
    let listener = run.listening();
    report(run, &listener.socket).await;
    operations(run, &listener.socket).await;
}

async fn connected(run: &Run) {
    let (client, _server) = run.pair().await;
    report(run, &client).await;
    operations(run, &client).await;
}

async fn closed(run: &Run) {
    let socket = run.socket();
    let deserted = run.deserted();
    run.line("connect", outcome(&connect(&socket, deserted).await))
        .await;
    report(run, &socket).await;
    operations(run, &socket).await;
}

/// What changes nothing, except for a stream of a connected socket.
async fn report(run: &Run, socket: &TcpSocket) {
    run.line("local-address", outcome(&socket.get_local_address()))
        .await;
    run.line("remote-address", outcome(&socket.get_remote_address()))
        .await;
    run.line("is-listening", yes(socket.get_is_listening()))
        .await;
    let family = socket.get_address_family() == run.family();
    run.line("address-family", yes(family)).await;
    let set = socket.set_listen_backlog_size(100);
    run.line("set-listen-backlog-size", outcome(&set)).await;
    run.line("get option", outcome(&socket.get_hop_limit()))
        .await;
    run.line("set option", outcome(&socket.set_hop_limit(42)))
        .await;
    let (_, data) = wit_stream::new();
    let (_, received) = socket.receive();
    run.line("send", outcome(&socket.send(data).await)).await;
    run.line("receive", outcome(&received.await)).await;
}

async fn operations(run: &Run, socket: &TcpSocket) {
    run.line("bind", outcome(&bind(socket, run.any_port())))
        .await;
    run.line("listen", outcome(&socket.listen())).await;
    let live = run.listening();
    let connected = connect(socket, local(&live.socket)).await;
    run.line("connect", outcome(&connected)).await;
}
