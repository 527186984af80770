//! libevent's own tests of its listener, under their own names. Those that disable it from another
//! thread have no counterpart: a component has one.

use super::cases;
use super::program::Program;
use crate::support::{connect, within};
use tokio::io::AsyncReadExt;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

cases!(
    randport,
    error,
    error_unlock,
    close_accepted_fd,
    immediate_close,
    enable_when_enabled,
    both_of_two_clients_are_served,
    accept_one_and_disable,
    three_accepts,
    armed_by_set_callback,
);

async fn randport(program: Program) {
    let mut program = program.start();
    let first = program.address().await;
    let second = program.address().await;
    assert_ne!(first.port(), second.port());
    assert!(first.ip().is_loopback() && second.ip().is_loopback());
    let _clients = [
        connect(first).await,
        connect(first).await,
        connect(second).await,
    ];
    let states = [
        "ended: NothingLeft",
        "left: 0",
        "state: Disabled",
        "left: 0",
        "state: Disabled",
    ];
    program.ends(&states).await;
}

async fn error(program: Program) {
    let program = program.accept_fails(ErrorCode::InvalidState);
    let mut program = program.start();
    let _client = program.connect().await;
    let lines = [
        "error: not possible in this state, Stopped",
        "ended: NothingLeft",
        "stopped: invalid-state",
        "enabled: false",
    ];
    program.ends(&lines).await;
}

async fn error_unlock(program: Program) {
    let program = program.accept_fails(ErrorCode::NewSocketLimit);
    let mut program = program.start();
    let mut client = program.connect().await;
    let lines = ["turned: None, backs off: true", "ended: NothingLeft"];
    program.ends(&lines).await;
    let end = within("the end", client.read(&mut [0])).await;
    // It was never accepted, or only ahead.
    assert!(!matches!(end, Ok(1..)), "{end:?}");
}

async fn close_accepted_fd(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut client = connect(address).await;
    let mut rest = Vec::new();
    within("the end", client.read_to_end(&mut rest))
        .await
        .expect("a clean end");
    assert_eq!(rest, b"");
    program.ends(&["ended: NothingLeft", "state: Closed"]).await;
    tokio::net::TcpStream::connect(address)
        .await
        .expect_err("nobody listens");
}

async fn immediate_close(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let _clients = [connect(address).await, connect(address).await];
    program.tell().await;
    let lines = [
        "ended: NothingLeft",
        "calls: 1",
        "ended: NothingLeft",
        "calls: 2",
    ];
    program.ends(&lines).await;
}

async fn enable_when_enabled(program: Program) {
    let mut program = program.start();
    let _client = program.connect().await;
    program.ends(&["ended: NothingLeft", "left: 0"]).await;
}

async fn both_of_two_clients_are_served(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    for _ in 0..2 {
        let mut client = connect(address).await;
        let mut text = String::new();
        within("an answer", client.read_to_string(&mut text))
            .await
            .expect("received");
        assert_eq!(text, "served");
    }
    program.ends(&["ended: NothingLeft"]).await;
}

async fn accept_one_and_disable(program: Program) {
    accept(program, 1).await;
}

async fn three_accepts(program: Program) {
    accept(program, 3).await;
}

async fn accept(program: Program, clients: usize) {
    let mut program = program.start();
    let address = program.address().await;
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(connect(address).await);
    }
    program.ends(&["ended: NothingLeft", "left: 0"]).await;
}

async fn armed_by_set_callback(program: Program) {
    let mut program = program.start();
    let _client = program.connect().await;
    program.tell().await;
    let lines = [
        "state: Paused",
        "ended: NothingLeft",
        "ended: NothingLeft",
        "left: 0",
    ];
    program.ends(&lines).await;
}
