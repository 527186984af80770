//! `local-address` and `remote-address`.

use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::net::{Run, local, remote, std};
use crate::report::{line, outcome, same, yes};

crate::cases!(of_both_ends, after_a_reset, of_the_host);

fn of_both_ends(run: &Run) {
    let listener = run.listening();
    let client = run.connected(local(&listener));
    let server = crate::net::accept(&listener).expect("accepted");
    let ends = |one, other| same(one == other);
    line(
        "the client's remote",
        ends(remote(&client.socket), local(&listener)),
    );
    line(
        "the server's local",
        ends(local(&server.socket), local(&listener)),
    );
    line(
        "the server's remote",
        ends(remote(&server.socket), local(&client.socket)),
    );
    line("the listener's", outcome(&listener.remote_address()));
    line(
        "family",
        yes(server.socket.address_family() == run.family()),
    );
}

/// The peer resets: the connection is terminated, and the socket closed.
fn after_a_reset(run: &Run) {
    let server = run.serve_one();
    let before = remote(&server.socket);
    line("before", same(before.ip() == run.ip));
    crate::report::wait_for_host();
    server.input.subscribe().block();
    let known = match server.socket.remote_address() {
        Ok(address) => std(address) == before,
        Err(code) => code == ErrorCode::InvalidState,
    };
    line("known or invalid-state", yes(known));
}

/// The host says what it sees of the client.
fn of_the_host(run: &Run) {
    let client = run.connected(run.addresses[0]);
    line("local", local(&client.socket));
    line("remote", same(remote(&client.socket) == run.addresses[0]));
    crate::report::wait_for_host();
}
