//! `get-local-address` and `get-remote-address`.

use crate::bindings::wasi::sockets::types::ErrorCode;
use crate::net::{from_wit, local, remote};
use crate::report::{outcome, same, yes};
use crate::run::Run;
use futures_util::future::join;

crate::cases!(of_both_ends, after_a_reset, of_the_host);

async fn of_both_ends(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    let (client, server) = join(run.connected(address), listener.accept()).await;
    for (what, is_same) in [
        ("the client's remote", remote(&client) == address),
        ("the server's local", local(&server) == address),
        ("the server's remote", remote(&server) == local(&client)),
    ] {
        run.line(what, same(is_same)).await;
    }
    let of_listener = listener.socket.get_remote_address();
    run.line("the listener's", outcome(&of_listener)).await;
    run.line("family", yes(server.get_address_family() == run.family()))
        .await;
}

/// The peer resets.
async fn after_a_reset(run: &Run) {
    let mut server = run.serve_one().await;
    let before = remote(&server.socket);
    run.line("before", same(before.ip() == run.ip)).await;
    run.wait_for_host().await;
    assert!(server.input.next().await.is_none());
    let known = match server.socket.get_remote_address() {
        Ok(address) => from_wit(address) == before,
        Err(code) => matches!(code, ErrorCode::InvalidState),
    };
    run.line("known or invalid-state", yes(known)).await;
}

/// The host says what it sees of the client.
async fn of_the_host(run: &Run) {
    let client = run.connected(run.addresses[0]).await;
    run.line("local", local(&client)).await;
    run.line("remote", same(remote(&client) == run.addresses[0]))
        .await;
    run.wait_for_host().await;
}
