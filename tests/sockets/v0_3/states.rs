//! What each call comes to in each state of a socket.

use crate::sockets::case::Case;

pub async fn unbound(case: Case) {
    case.says(&[
        "local-address: invalid-state",
        "remote-address: invalid-state",
        "is-listening: no",
        "address-family: yes",
        "set-listen-backlog-size: ok",
        "get option: ok",
        "set option: ok",
        "send: invalid-state",
        "receive: invalid-state",
    ])
    .await;
}

pub async fn bound(case: Case) {
    case.says(&[
        "local-address: ok",
        "remote-address: invalid-state",
        "is-listening: no",
        "address-family: yes",
        "set-listen-backlog-size: ok",
        "get option: ok",
        "set option: ok",
        "send: invalid-state",
        "receive: invalid-state",
    ])
    .await;
}

pub async fn listening(case: Case) {
    case.says(&[
        "local-address: ok",
        "remote-address: invalid-state",
        "is-listening: yes",
        "address-family: yes",
        "set-listen-backlog-size: ok",
        "get option: ok",
        "set option: ok",
        "send: invalid-state",
        "receive: invalid-state",
        "bind: invalid-state",
        "listen: invalid-state",
        "connect: invalid-state",
    ])
    .await;
}

/// Its output is dropped, and its peer does not answer before.
pub async fn connected(case: Case) {
    case.says(&[
        "local-address: ok",
        "remote-address: ok",
        "is-listening: no",
        "address-family: yes",
        "set-listen-backlog-size: invalid-state",
        "get option: ok",
        "set option: ok",
        "send: ok",
        "receive: ok",
        "bind: invalid-state",
        "listen: invalid-state",
        "connect: invalid-state",
    ])
    .await;
}

pub async fn closed(case: Case) {
    case.says(&[
        "connect: connection-refused",
        "local-address: connection-refused",
        "remote-address: connection-refused",
        "is-listening: no",
        "address-family: yes",
        "set-listen-backlog-size: connection-refused",
        "get option: connection-refused",
        "set option: connection-refused",
        "send: connection-refused",
        "receive: connection-refused",
        "bind: invalid-state",
        "listen: invalid-state",
        "connect: invalid-state",
    ])
    .await;
}
