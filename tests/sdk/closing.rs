//! Connections that cannot be closed without waiting, and those beside them.

use super::super::linked::SENDS_IN_BACKGROUND;
use super::cases;
use super::program::{Program, connect_narrowly};
use crate::support::{ask, connect, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

cases!(
    peers_that_never_read,
    given_up,
    full,
    refused_upload,
    endless_upload,
);

/// Ten peers never read what they are sent, and their connections are closed. A hundred others do not
/// notice, and nor does the end.
async fn peers_that_never_read(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut silent = Vec::new();
    for closing in 1..=10 {
        let mut peer = connect_narrowly(address).await;
        peer.write_all(b"flood\n").await.expect("sent");
        assert_eq!(program.hear("closing").await, closing.to_string());
        silent.push(peer);
    }

    let mut others = JoinSet::new();
    for number in 0..100 {
        others.spawn(async move {
            let mut peer = connect(address).await;
            for round in 0..20 {
                let line = format!("{number} {round}\n");
                assert_eq!(ask(&mut peer, &line).await, line);
            }
        });
    }
    while let Some(other) = within("others are served", others.join_next()).await {
        other.expect("no panic");
    }

    // One that reads after all gets everything.
    let mut late = silent.pop().expect("there are ten");
    let mut received = Vec::new();
    within("all of it", late.read_to_end(&mut received))
        .await
        .expect("received");
    assert_eq!(received.len(), 32 << 20);

    let mut peer = connect(address).await;
    peer.write_all(b"end\n").await.expect("sent");
    program
        .ends(&["ended: Exit", "left: 9", "base: dropped"])
        .await;
}

/// A peer that reads too late gets what the host had been given, and the end.
async fn given_up(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut silent = connect_narrowly(address).await;
    silent.write_all(b"flood\n").await.expect("sent");
    assert_eq!(program.hear("closing").await, "1");
    let mut said = vec![program.line().await];
    if SENDS_IN_BACKGROUND {
        // It is let go before its peer has done anything.
        said.push(program.line().await);
        said.sort();
        assert_eq!(said[0], "closing: 0");
    }
    assert_eq!(said.last().expect("a line"), "waited: long enough");
    let mut received = Vec::new();
    within("the end", silent.read_to_end(&mut received))
        .await
        .expect("received");
    assert!(received.len() < 32 << 20, "{}", received.len());
    if !SENDS_IN_BACKGROUND {
        assert_eq!(program.hear("closing").await, "0");
    }
    let mut peer = connect(address).await;
    assert_eq!(ask(&mut peer, "others\n").await, "others\n");
    peer.write_all(b"end\n").await.expect("sent");
    program.ends(&["ended: Exit"]).await;
}

async fn full(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut silent = Vec::new();
    for closing in ["1", "2"] {
        let mut peer = connect_narrowly(address).await;
        peer.write_all(b"flood\n").await.expect("sent");
        assert_eq!(program.hear("closing").await, closing);
        silent.push(peer);
    }
    assert_eq!(program.hear("full").await, "true");
    // This one is in the kernel's queue until one of the others is gone.
    let mut waiting = connect(address).await;
    drop(silent.pop());
    assert_eq!(program.hear("full").await, "false");
    assert_eq!(ask(&mut waiting, "hello\n").await, "hello\n");
    waiting.write_all(b"end\n").await.expect("sent");
    program.ends(&["ended: Exit"]).await;
}

/// It sends everything before it reads anything, and loses nothing of the answer.
async fn refused_upload(program: Program) {
    let mut program = program.start();
    let mut peer = program.connect().await;
    let upload = vec![b'u'; 20 << 20];
    within("the upload", peer.write_all(&upload))
        .await
        .expect("sent");
    let mut answer = Vec::new();
    within("the answer", peer.read_to_end(&mut answer))
        .await
        .expect("a regular end");
    assert_eq!(answer.len(), 3 << 20);
    drop(peer);
    program.ends(&["ended: NothingLeft"]).await;
}

/// It reads the answer, and sends for ever.
async fn endless_upload(program: Program) {
    let mut program = program.start();
    let (mut reads, mut writes) = program.connect().await.into_split();
    let sending = tokio::spawn(async move {
        let part = [b'u'; 1 << 16];
        while writes.write_all(&part).await.is_ok() {}
    });
    let mut answer = Vec::new();
    // It ends in a regular way, or in the reset that ends the upload.
    let _ = within("the answer", reads.read_to_end(&mut answer)).await;
    within("the upload is ended", sending)
        .await
        .expect("no panic");
    program.ends(&["ended: NothingLeft"]).await;
}
