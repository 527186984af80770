//! `local-address` and `remote-address`.

use super::case::Case;
use crate::support::{reset, within};
use tokio::net::TcpListener;

pub async fn of_both_ends(case: Case) {
    case.says(&[
        "the client's remote: the same",
        "the server's local: the same",
        "the server's remote: the same",
        "the listener's: invalid-state",
        "family: yes",
    ])
    .await;
}

/// The documents have the socket closed then, and a closed one may say so: whether it does, or still
/// knows the address, is left to the implementation.
pub async fn after_a_reset(case: Case) {
    let mut program = case.start(&[]);
    let peer = program.connect().await;
    assert_eq!(program.hear("before").await, "the same");
    reset(peer);
    program.tell().await;
    program.ends(&["known or invalid-state: yes"]).await;
}

pub async fn of_the_host(case: Case) {
    let listener = TcpListener::bind((case.ip, 0)).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut program = case.start(&[address]);
    let (_peer, from) = within("a peer", listener.accept()).await.expect("accepted");
    assert_eq!(program.hear("local").await, from.to_string());
    program.tell().await;
    program.ends(&["remote: the same"]).await;
}
