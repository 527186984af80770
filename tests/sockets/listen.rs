//! `start-listen`, `finish-listen`, the backlog, and what is accepted.

use super::case::Case;
use super::linked::Grant;
use crate::support::{connect, reset, wait_for_close, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

pub async fn unbound(case: Case) {
    case.says(&[
        "listen: invalid-state",
        "is-listening: no",
        "bind: ok",
        "listen after that: ok",
        "is-listening after that: yes",
    ])
    .await;
}

pub async fn twice(case: Case) {
    case.says(&["listen: invalid-state", "accept: ok"]).await;
}

pub async fn port_taken(case: Case) {
    case.says(&[
        "bind: ok",
        "the first: ok",
        "the second: address-in-use",
        "is-listening: no",
        "the second again: invalid-state",
    ])
    .await;
}

pub async fn backlog(case: Case) {
    case.says(&[
        "0: invalid-argument, ok, invalid-argument",
        "1: ok, ok, ok",
        "4096: ok, ok, ok",
        "4294967295: ok, ok, ok",
        "18446744073709551615: ok, ok, ok",
    ])
    .await;
}

pub async fn denied(case: Case) {
    case.granted(Grant::NotListening)
        .says(&["listen: access-denied", "is-listening: no"])
        .await;
}

pub async fn denied_peers(case: Case) {
    let mut program = case.granted(Grant::NotFrom2).start(&[]);
    let address = program.address().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = ([127, 0, 0, 2], 0).into();
    socket.bind(from).expect("a second loopback address");
    // The reset may be there before the kernel says that it has connected.
    if let Ok(mut denied) = within("connecting", socket.connect(address)).await {
        wait_for_close(&mut denied).await;
    }
    let _peer = connect(address).await;
    program
        .ends(&["peer: 127.0.0.1", "another: would-block"])
        .await;
}

pub async fn many_peers(case: Case) {
    case.says(&[
        "in their order: yes",
        "all of them: yes",
        "one more: would-block",
    ])
    .await;
}

pub async fn peer_gone(case: Case) {
    let mut program = case.start(&[]);
    let address = program.address().await;
    reset(connect(address).await);
    let mut second = connect(address).await;
    second.write_all(b"x").await.expect("sent");
    program.tell().await;
    program.ends(&["bytes: 1", "before it: yes"]).await;
}
