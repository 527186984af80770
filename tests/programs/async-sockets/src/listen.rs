//! `listen`, and the stream of connections.

use crate::net::{Connection, Listener, bind, connect, local, remote};
use crate::report::{outcome, progress, same, yes};
use crate::run::Run;
use futures_util::FutureExt;
use futures_util::future::join;

crate::cases!(
    unbound,
    twice,
    port_taken,
    backlog,
    denied,
    denied_peers,
    many_peers,
    peer_gone,
    stream_dropped,
    socket_dropped,
    both_dropped,
    nobody_takes_it,
    a_wait_that_ends,
    a_read_that_is_cancelled
);

/// It is bound to any address, and a port.
async fn unbound(run: &Run) {
    let socket = run.socket();
    run.line("is-listening", yes(socket.get_is_listening()))
        .await;
    let listens = socket.listen();
    run.line("listen", outcome(&listens)).await;
    run.line("is-listening after that", yes(socket.get_is_listening()))
        .await;
    let any = run.choose("0.0.0.0", "::");
    run.line("ip", same(local(&socket).ip() == any)).await;
    run.line("port", yes(local(&socket).port() > 0)).await;
    run.line("bind", outcome(&bind(&socket, run.any_port())))
        .await;
}

async fn twice(run: &Run) {
    let mut listener = run.listening();
    let again = listener.socket.listen();
    run.line("listen", outcome(&again)).await;
    let client = run.connected(local(&listener.socket));
    let (_client, server) = join(client, listener.accept()).await;
    run.line("accepted", same(local(&server) == local(&listener.socket)))
        .await;
    let listens = server.listen();
    run.line("listen when connected", outcome(&listens)).await;
}

async fn port_taken(run: &Run) {
    let (first, second) = (run.bound(), run.socket());
    run.line("bind", outcome(&bind(&second, local(&first))))
        .await;
    let _connections = first.listen().expect("it listens");
    run.line("the second", outcome(&second.listen())).await;
    run.line("is-listening", yes(second.get_is_listening()))
        .await;
}

async fn backlog(run: &Run) {
    for value in [0, 1, 4096, u64::from(u32::MAX), u64::MAX] {
        let socket = run.bound();
        let set = socket.set_listen_backlog_size(value);
        let connections = socket.listen();
        let again = socket.set_listen_backlog_size(value);
        let outcomes = [outcome(&set), outcome(&connections), outcome(&again)];
        run.line(&value.to_string(), outcomes.join(", ")).await;
        let connections = connections.expect("it listens");
        let mut listener = Listener {
            socket,
            connections,
        };
        let client = run.connected(local(&listener.socket));
        join(client, listener.accept()).await;
    }
}

async fn denied(run: &Run) {
    let socket = run.bound();
    run.line("listen", outcome(&socket.listen())).await;
    run.line("is-listening", yes(socket.get_is_listening()))
        .await;
}

/// The first peer that is let in is accepted, whoever came before.
async fn denied_peers(run: &Run) {
    let mut listener = run.listening();
    run.line("listening", local(&listener.socket)).await;
    let accepted = listener.accept().await;
    run.line("peer", remote(&accepted).ip()).await;
}

/// More than one at a time, none lost and none twice.
async fn many_peers(run: &Run) {
    const PEERS: usize = 100;
    let mut listener = run.listening();
    let mut clients = Vec::new();
    for _ in 0..PEERS {
        clients.push(run.connected(local(&listener.socket)).await);
    }
    let expected: Vec<_> = clients.iter().map(local).collect();
    let mut accepted = Vec::new();
    for _ in 0..PEERS {
        accepted.push(listener.accept().await);
    }
    let accepted: Vec<_> = accepted.iter().map(remote).collect();
    run.line("all of them, in their order", yes(accepted == expected))
        .await;
}

/// A peer that connects and resets before anybody accepts it does not hurt the next one.
async fn peer_gone(run: &Run) {
    let mut listener = run.listening();
    run.line("listening", local(&listener.socket)).await;
    run.wait_for_host().await;
    let mut dead = 0;
    // The second peer sends something.
    loop {
        let mut server = Connection::of(listener.accept().await);
        match server.input.next().await {
            Some(_) => break run.line("a byte", "yes").await,
            None => dead += 1,
        }
    }
    run.line("before it, one at most", yes(dead <= 1)).await;
}

/// The address stays in use for as long as the socket is there.
async fn stream_dropped(run: &Run) {
    let listener = run.listening();
    let address = local(&listener.socket);
    drop(listener.connections);
    run.line("is-listening", yes(listener.socket.get_is_listening()))
        .await;
    run.line("bind", outcome(&bind(&run.socket(), address)))
        .await;
    run.line("listen", outcome(&listener.socket.listen())).await;
    drop(listener.socket);
    run.line("bind then", outcome(&bind(&run.socket(), address)))
        .await;
    run.line(
        "connect then",
        outcome(&connect(&run.socket(), address).await),
    )
    .await;
}

/// The stream goes on.
async fn socket_dropped(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    drop(listener.socket);
    let accept = listener.connections.next();
    let (client, server) = join(run.connected(address), accept).await;
    let server = server.expect("a connection");
    run.line("accepted", same(remote(&server) == local(&client)))
        .await;
    drop(listener.connections);
    let (mut client, mut server) = (Connection::of(client), Connection::of(server));
    server.send(b"x").await;
    run.line("it works", client.receive(1).await.len()).await;
}

async fn both_dropped(run: &Run) {
    let listener = run.listening();
    let address = local(&listener.socket);
    drop(listener);
    let connected = connect(&run.socket(), address).await;
    run.line("connect", outcome(&connected)).await;
    run.line("bind", outcome(&bind(&run.socket(), address)))
        .await;
}

/// A connection that waits is closed when nobody can take it any more.
async fn nobody_takes_it(run: &Run) {
    let mut listener = run.listening();
    let client = run.connected(local(&listener.socket)).await;
    // It may be accepted by now, but it was not read.
    listener.connections.read(Vec::new()).await;
    drop(listener);
    let (mut input, ended) = client.receive();
    run.line("read", progress(input.read(Vec::with_capacity(1)).await.0))
        .await;
    drop(input);
    let is_over = matches!(outcome(&ended.await), "ok" | "connection-reset");
    run.line("it is over", yes(is_over)).await;
}

/// A read of nothing ends when there is a connection.
async fn a_wait_that_ends(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    let mut waits = Box::pin(listener.connections.read(Vec::new()));
    run.line("at once", yes(waits.as_mut().now_or_never().is_some()))
        .await;
    let _client = run.connected(address).await;
    let (result, _) = waits.as_mut().await;
    drop(waits);
    run.line("then", progress(result)).await;
    let (result, _) = listener.connections.read(Vec::with_capacity(2)).await;
    run.line("read", progress(result)).await;
}

/// It takes no connection along.
async fn a_read_that_is_cancelled(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    let mut reads = Box::pin(listener.connections.read(Vec::with_capacity(1)));
    run.line("at once", yes(reads.as_mut().now_or_never().is_some()))
        .await;
    let (result, _) = reads.as_mut().cancel();
    run.line("cancelled", progress(result)).await;
    drop(reads);
    let (client, server) = join(run.connected(address), listener.accept()).await;
    run.line("accepted", same(remote(&server) == local(&client)))
        .await;
}
