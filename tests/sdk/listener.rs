//! What callbacks may do to their listener, to others and to the loop, and the listener's limits.

use super::cases;
use super::program::{Program, Running};
use crate::support::{connect, read_line, within};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

cases!(
    dropped_in_its_callback,
    closed_in_its_error_callback,
    dropped_in_its_error_callback,
    another_callback_for_the_next_peer,
    paused_in_its_callback,
    disabled_and_enabled_in_its_callback,
    another_one_made_and_dropped_in_a_callback,
    broken_in_a_callback,
    exit_in_a_callback,
    nested_loop,
    at_most_two_connections,
    taken_apart_and_put_together,
    resources_run_out,
    addresses_that_cannot_be_bound,
    options,
);

/// It listens, and as many peers wait.
async fn with_peers<const COUNT: usize>(program: Program) -> (Running, SocketAddr, Vec<TcpStream>) {
    let mut program = program.start();
    let address = program.address().await;
    let mut peers = Vec::new();
    for _ in 0..COUNT {
        peers.push(connect(address).await);
    }
    program.tell().await;
    (program, address, peers)
}

async fn dropped_in_its_callback(program: Program) {
    let (program, address, peers) = with_peers::<4>(program).await;
    program.ends(&["call: dropped", "ended: NothingLeft"]).await;
    // The first one was accepted and dropped, the others are closed or reset.
    for mut peer in peers {
        let end = within("the end", peer.read(&mut [0])).await;
        assert!(!matches!(end, Ok(1..)), "{end:?}");
    }
    TcpStream::connect(address)
        .await
        .expect_err("nobody listens");
}

async fn closed_in_its_error_callback(program: Program) {
    let program = program.accept_fails(ErrorCode::NewSocketLimit);
    let mut program = program.start();
    let _peer = program.connect().await;
    let lines = [
        "error: too many open sockets",
        "state: Closed",
        "ended: NothingLeft",
    ];
    program.ends(&lines).await;
}

async fn dropped_in_its_error_callback(program: Program) {
    let program = program.accept_fails(ErrorCode::NewSocketLimit);
    let mut program = program.start();
    let _peer = program.connect().await;
    let lines = ["error: too many open sockets", "ended: NothingLeft"];
    program.ends(&lines).await;
}

async fn another_callback_for_the_next_peer(program: Program) {
    let (program, _, _peers) = with_peers::<2>(program).await;
    let lines = ["call: first", "call: second", "ended: NothingLeft"];
    program.ends(&lines).await;
}

async fn paused_in_its_callback(program: Program) {
    let (program, _, _peers) = with_peers::<2>(program).await;
    let lines = [
        "call: first",
        "state: Paused",
        "timer: set",
        "call: second",
        "ended: NothingLeft",
    ];
    program.ends(&lines).await;
}

async fn disabled_and_enabled_in_its_callback(program: Program) {
    let (program, _, _peers) = with_peers::<4>(program).await;
    let lines = ["call: 3", "call: 2", "call: 1", "ended: NothingLeft"];
    program.ends(&lines).await;
}

async fn another_one_made_and_dropped_in_a_callback(program: Program) {
    let mut program = program.start();
    let _first = program.connect().await;
    assert_eq!(program.hear("call").await, "first");
    let _second = program.connect().await;
    program.ends(&["call: second", "ended: NothingLeft"]).await;
}

async fn broken_in_a_callback(program: Program) {
    let (program, _, _peers) = with_peers::<2>(program).await;
    let lines = ["call: break", "ended: Break", "call: break", "ended: Break"];
    program.ends(&lines).await;
}

async fn exit_in_a_callback(program: Program) {
    let (program, _, peers) = with_peers::<2>(program).await;
    program
        .ends(&["call: exit", "call: exit", "ended: Exit"])
        .await;
    for mut peer in peers {
        let mut text = String::new();
        within("an answer", peer.read_to_string(&mut text))
            .await
            .expect("received");
        assert_eq!(text, "seen");
    }
}

async fn nested_loop(program: Program) {
    let mut program = program.start();
    let _peer = program.connect().await;
    let lines = [
        "dispatch: Nested",
        "run_once: Some(Nested)",
        "ended: NothingLeft",
    ];
    program.ends(&lines).await;
}

async fn at_most_two_connections(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(connect(address).await);
    }
    assert_eq!(program.hear("open").await, "1");
    assert_eq!(program.hear("open").await, "2");
    assert_eq!(program.hear("state").await, "Full");
    assert_eq!(program.hear("ended").await, "Break");
    // Each that goes makes room for one.
    for _ in 0..2 {
        let mut peer = peers.remove(0);
        assert_eq!(read_line(&mut peer).await, "welcome\n");
        drop(peer);
        assert_eq!(program.hear("open").await, "2");
    }
    drop(peers);
    program.ends(&["ended: NothingLeft", "open: 0"]).await;
}

async fn taken_apart_and_put_together(program: Program) {
    let (program, _, _peers) = with_peers::<1>(program).await;
    let lines = ["state: Closed", "call: second", "ended: NothingLeft"];
    program.ends(&lines).await;
}

async fn resources_run_out(program: Program) {
    let program = program.accept_fails(ErrorCode::NewSocketLimit);
    let mut program = program.start();
    let _peer = program.connect().await;
    let lines = [
        "error: too many open sockets, Retrying(5ms)",
        "error: too many open sockets, Retrying(10ms)",
        "error: too many open sockets, Retrying(20ms)",
        "ended: NothingLeft",
    ];
    program.ends(&lines).await;
}

async fn addresses_that_cannot_be_bound(program: Program) {
    let lines = [
        "taken: the address is in use, AddrInUse",
        "no backlog: invalid argument, InvalidInput",
        "reuse port: not supported, Unsupported",
        "ended: NothingLeft",
    ];
    program.says(&lines).await;
}

async fn options(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    assert_eq!(program.hear("state").await, "Disabled");
    assert_eq!(program.hear("ended").await, "NothingLeft");
    let mut silent = connect(address).await;
    let mut peer = connect(address).await;
    peer.write_all(b"hello\n").await.expect("sent");
    program.ends(&["peer: hello", "ended: NothingLeft"]).await;
    let end = within("the end", silent.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
}
