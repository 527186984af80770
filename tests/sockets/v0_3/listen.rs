//! `listen`, and the stream of connections.

use crate::sockets::case::Case;
use crate::sockets::linked::Grant;
use crate::support::{connect, reset, wait_for_close, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

pub async fn unbound(case: Case) {
    case.says(&[
        "is-listening: no",
        "listen: ok",
        "is-listening after that: yes",
        "ip: the same",
        "port: yes",
        "bind: invalid-state",
    ])
    .await;
}

pub async fn twice(case: Case) {
    case.says(&[
        "listen: invalid-state",
        "accepted: the same",
        "listen when connected: invalid-state",
    ])
    .await;
}

pub async fn backlog(case: Case) {
    crate::sockets::listen::backlog(case).await;
}

pub async fn denied(case: Case) {
    crate::sockets::listen::denied(case).await;
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
    program.ends(&["peer: 127.0.0.1"]).await;
}

pub async fn many_peers(case: Case) {
    case.says(&["all of them, in their order: yes"]).await;
}

pub async fn peer_gone(case: Case) {
    let mut program = case.start(&[]);
    let address = program.address().await;
    reset(connect(address).await);
    let mut second = connect(address).await;
    second.write_all(b"x").await.expect("sent");
    program.tell().await;
    program
        .ends(&["a byte: yes", "before it, one at most: yes"])
        .await;
}

pub async fn stream_dropped(case: Case) {
    case.says(&[
        "is-listening: yes",
        "bind: address-in-use",
        "listen: invalid-state",
        "bind then: ok",
        "connect then: connection-refused",
    ])
    .await;
}

pub async fn socket_dropped(case: Case) {
    case.says(&["accepted: the same", "it works: 1"]).await;
}

pub async fn both_dropped(case: Case) {
    case.says(&["connect: connection-refused", "bind: ok"])
        .await;
}

pub async fn nobody_takes_it(case: Case) {
    case.says(&["read: dropped", "it is over: yes"]).await;
}

pub async fn a_wait_that_ends(case: Case) {
    case.says(&["at once: no", "then: 0", "read: 1"]).await;
}

pub async fn a_read_that_is_cancelled(case: Case) {
    case.says(&["at once: no", "cancelled: cancelled", "accepted: the same"])
        .await;
}

pub async fn port_taken(case: Case) {
    case.says(&["bind: ok", "the second: address-in-use", "is-listening: no"])
        .await;
}
