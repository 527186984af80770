//! `shutdown`, from the program's side and from its peer's.

use super::case::Case;
use super::streams::{number, rest, send, started};
use crate::support::within;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

pub async fn shutdown_send(case: Case) {
    let (program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, b"hello");
    send(&mut peer, b"world").await;
    drop(peer);
    program
        .ends(&[
            "shutdown: ok",
            "write: closed",
            "check-write: closed",
            "flush: closed",
            "ready: yes",
            "received: 5",
        ])
        .await;
}

pub async fn shutdown_receive(case: Case) {
    let (program, mut peer) = started(&case).await;
    send(&mut peer, b"hello").await;
    let mut bytes = [0; 5];
    let read = within("the answer", peer.read_exact(&mut bytes)).await;
    read.expect("five bytes");
    program
        .ends(&["shutdown: ok", "read: closed", "ready: yes"])
        .await;
}

pub async fn shutdown_both(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, b"");
    program.tell().await;
    program
        .ends(&["shutdown: ok", "read: closed", "check-write: closed"])
        .await;
}

pub async fn shutdown_twice(case: Case) {
    case.says(&[
        "receive first: ok ok ok ok",
        "send first: ok ok ok ok",
        "both first: ok ok ok ok",
        "without streams: ok",
    ])
    .await;
}

pub async fn shutdown_send_loses_nothing(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("shutdown").await, "ok");
    let written = number(&mut program, "written").await;
    assert_eq!(rest(&mut peer).await.len(), written);
    program.tell().await;
    program.ends(&["check-write: closed"]).await;
}

/// Far sooner than the time after which a host may give a peer up: nothing but the peer is waited for.
pub async fn shutdown_send_watched(case: Case) {
    const SOON: Duration = Duration::from_secs(8);
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("shutdown").await, "ok");
    let written = number(&mut program, "written").await;
    let bytes = timeout(SOON, rest(&mut peer)).await;
    let bytes = bytes.expect("nobody waits for anything but the peer");
    assert_eq!(bytes.len(), written);
    program.tell().await;
    program.ends(&[]).await;
}

pub async fn shutdown_send_waited_for(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    let written = number(&mut program, "written").await;
    assert_eq!(rest(&mut peer).await.len(), written);
    program.tell().await;
    program.ends(&["shutdown: ok", "check-write: closed"]).await;
}
