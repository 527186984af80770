//! `connect`.

use crate::net::{Connection, bind, connect, local, remote};
use crate::report::{outcome, same, yes};
use crate::run::Run;
use futures_util::FutureExt;
use futures_util::future::join;
use std::net::SocketAddr;

crate::cases!(
    live,
    refused,
    refused_addresses,
    after_refused_addresses,
    bound_first,
    bound_to_a_used_port,
    after_failure,
    when_connected,
    denied,
    pending,
    unreachable
);

async fn live(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    let socket = run.socket();
    let (connected, server) = join(connect(&socket, address), listener.accept()).await;
    run.line("connect", outcome(&connected)).await;
    run.line("remote", same(remote(&socket) == address)).await;
    run.line("local", same(local(&socket) == remote(&server)))
        .await;
    run.line("the server's local", same(local(&server) == address))
        .await;
}

async fn refused(run: &Run) {
    let connected = connect(&run.socket(), run.deserted()).await;
    run.line("connect", outcome(&connected)).await;
}

async fn refused_addresses(run: &Run) {
    let live = run.listening();
    let port = local(&live.socket).port();
    for address in [
        SocketAddr::new(run.ip, 0),
        SocketAddr::new(run.choose("0.0.0.0", "::"), port),
        SocketAddr::new(run.choose("224.0.0.1", "ff02::1"), port),
        SocketAddr::new(run.choose("255.255.255.255", "::ffff:127.0.0.1"), port),
        SocketAddr::new(run.choose("::1", "127.0.0.1"), port),
    ] {
        let what = match address.port() {
            0 => "port 0".to_owned(),
            _ => address.ip().to_string(),
        };
        let connected = connect(&run.socket(), address).await;
        run.line(&what, outcome(&connected)).await;
    }
}

/// The socket is as it was, and takes another address.
async fn after_refused_addresses(run: &Run) {
    let live = run.listening();
    let socket = run.socket();
    let connected = connect(&socket, run.any_port()).await;
    run.line("port 0", outcome(&connected)).await;
    let connected = connect(&socket, local(&live.socket)).await;
    run.line("another", outcome(&connected)).await;
}

async fn bound_first(run: &Run) {
    let mut listener = run.listening();
    let socket = run.bound();
    let bound_to = local(&socket);
    let address = local(&listener.socket);
    let (connected, server) = join(connect(&socket, address), listener.accept()).await;
    run.line("connect", outcome(&connected)).await;
    run.line("local", same(local(&socket) == bound_to)).await;
    run.line("the server's remote", same(remote(&server) == bound_to))
        .await;
}

async fn after_failure(run: &Run) {
    let live = run.listening();
    let socket = run.socket();
    let connected = connect(&socket, run.deserted()).await;
    run.line("connect", outcome(&connected)).await;
    let again = connect(&socket, local(&live.socket)).await;
    run.line("again", outcome(&again)).await;
    run.line("bind", outcome(&bind(&socket, run.any_port())))
        .await;
    run.line("listen", outcome(&socket.listen())).await;
    let Connection { sent, received, .. } = Connection::of(socket);
    run.line("send", outcome(&sent.await)).await;
    run.line("receive", outcome(&received.await)).await;
}

async fn when_connected(run: &Run) {
    let (client, server) = run.pair().await;
    let live = run.listening();
    let again = connect(&client, local(&live.socket)).await;
    run.line("the client", outcome(&again)).await;
    let again = connect(&server, local(&live.socket)).await;
    run.line("the server", outcome(&again)).await;
    let (mut client, mut server) = (Connection::of(client), Connection::of(server));
    client.send(b"x").await;
    run.line("they work", server.receive(1).await.len()).await;
}

async fn denied(run: &Run) {
    let socket = run.socket();
    let connected = connect(&socket, run.port(1)).await;
    run.line("connect", outcome(&connected)).await;
}

/// The host's listener has no room for one more.
async fn pending(run: &Run) {
    let socket = run.socket();
    let mut connecting = Box::pin(connect(&socket, run.addresses[0]));
    run.line("at once", yes(connecting.as_mut().now_or_never().is_some()))
        .await;
    run.line(
        "another",
        outcome(&connect(&socket, run.addresses[0]).await),
    )
    .await;
    run.line("bind", outcome(&bind(&socket, run.any_port())))
        .await;
    run.line("listen", outcome(&socket.listen())).await;
    run.wait_for_host().await;
    run.line("connect", outcome(&connecting.await)).await;
    // Another is given up.
    let socket = run.socket();
    let mut connecting = Box::pin(connect(&socket, run.addresses[1]));
    run.line(
        "given up",
        yes(connecting.as_mut().now_or_never().is_some()),
    )
    .await;
    drop(connecting);
    let again = connect(&socket, run.addresses[1]).await;
    run.line("again", outcome(&again)).await;
}

/// To be run where there is no network.
async fn unreachable(run: &Run) {
    let address = SocketAddr::new(run.choose("203.0.113.1", "2001:db8::1"), 9);
    let connected = connect(&run.socket(), address).await;
    run.line("connect", outcome(&connected)).await;
}

async fn bound_to_a_used_port(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    let socket = run.socket();
    run.line("bind", outcome(&bind(&socket, address))).await;
    let (connected, _server) = join(connect(&socket, address), listener.accept()).await;
    run.line("connect", outcome(&connected)).await;
}
