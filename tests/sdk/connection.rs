//! Connections without a buffer.

use super::cases;
use super::program::{Program, connect_narrowly};
use crate::support::{exchange, within};
use tokio::io::AsyncReadExt;

cases!(
    would_block,
    blocking,
    outgoing,
    socket_options,
    dropped_with_output,
    panics,
);

async fn would_block(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let client = connect_narrowly(address).await;
    assert_eq!(program.hear("read").await, "WouldBlock");
    assert_eq!(program.hear("write").await, "WouldBlock");
    drop(client);
    program.ends(&["ended: NothingLeft"]).await;
}

async fn blocking(program: Program) {
    let mut program = program.start();
    let client = program.connect().await;
    let sent = vec![b'x'; 3 << 20];
    assert!(exchange(client, &sent).await == sent, "all of it");
    program.ends(&["read: 3145728", "ended: NothingLeft"]).await;
}

async fn outgoing(program: Program) {
    let lines = [
        "read: hello",
        "ended: NothingLeft",
        "refused: connection refused",
        "ended: NothingLeft",
    ];
    program.says(&lines).await;
}

async fn socket_options(program: Program) {
    let mut program = program.start();
    let _client = program.connect().await;
    program
        .ends(&["no hops: invalid argument", "ended: NothingLeft"])
        .await;
}

/// The callback goes on at once, and the loop sends what was written.
async fn dropped_with_output(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut client = connect_narrowly(address).await;
    let written: usize = program.hear("written").await.parse().expect("a number");
    program.tell().await;
    let mut received = Vec::new();
    within("all of it", client.read_to_end(&mut received))
        .await
        .expect("received");
    assert_eq!(received.len(), written);
    program.ends(&["ended: NothingLeft"]).await;
}

/// Where it happened, and why.
async fn panics(program: Program) {
    let ended = program.start().end().await;
    ended.outcome.expect_err("a trap");
    assert!(ended.errors.contains("it was told to"), "{}", ended.errors);
    assert!(ended.errors.contains("connection.rs"), "{}", ended.errors);
}
