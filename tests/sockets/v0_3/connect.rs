//! `connect`.

use crate::sockets::case::Case;
use crate::sockets::connect::Full;
use crate::sockets::linked::Grant;
use crate::support::within;

pub async fn live(case: Case) {
    case.says(&[
        "connect: ok",
        "remote: the same",
        "local: the same",
        "the server's local: the same",
    ])
    .await;
}

pub async fn refused(case: Case) {
    case.says(&["connect: connection-refused"]).await;
}

pub async fn refused_addresses(case: Case) {
    crate::sockets::connect::refused_addresses(case).await;
}

pub async fn after_refused_addresses(case: Case) {
    case.says(&["port 0: invalid-argument", "another: ok"])
        .await;
}

pub async fn bound_first(case: Case) {
    case.says(&[
        "connect: ok",
        "local: the same",
        "the server's remote: the same",
    ])
    .await;
}

pub async fn after_failure(case: Case) {
    case.says(&[
        "connect: connection-refused",
        "again: invalid-state",
        "bind: invalid-state",
        "listen: invalid-state",
        "send: connection-refused",
        "receive: connection-refused",
    ])
    .await;
}

pub async fn when_connected(case: Case) {
    crate::sockets::connect::when_connected(case).await;
}

pub async fn denied(case: Case) {
    case.granted(Grant::NotPort1)
        .says(&["connect: access-denied"])
        .await;
}

/// One goes on when there is room again: the kernel tries once more after a second.
pub async fn pending(case: Case) {
    let (first, second) = (Full::new(case.ip), Full::new(case.ip));
    let mut program = case.start(&[first.address, second.address]);
    for said in [
        ("at once", "no"),
        ("another", "invalid-state"),
        ("bind", "invalid-state"),
        ("listen", "invalid-state"),
    ] {
        assert_eq!(program.hear(said.0).await, said.1, "{}", said.0);
    }
    let make_room = tokio::task::spawn_blocking(move || first.make_room());
    let _accepted = within("accepting", make_room).await.expect("no panic");
    program.tell().await;
    program
        .ends(&["connect: ok", "given up: no", "again: invalid-state"])
        .await;
}

pub async fn unreachable(case: Case) {
    case.says(&["connect: remote-unreachable"]).await;
}

pub use crate::sockets::connect::bound_to_a_used_port;
