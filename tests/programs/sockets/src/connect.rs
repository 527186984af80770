//! `start-connect` and `finish-connect`.

use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::net::{Run, accept, bind, connect, finish_connect, local, remote, start_connect};
use crate::report::{line, outcome, same, wait_for_host, yes};
use std::net::SocketAddr;

crate::cases!(
    live,
    refused,
    refused_addresses,
    after_refused_addresses,
    unreachable,
    bound_first,
    bound_to_a_used_port,
    after_failure,
    when_connected,
    denied,
    pending
);

fn live(run: &Run) {
    let listener = run.listening();
    let socket = run.socket();
    line("start", outcome(&start_connect(&socket, local(&listener))));
    let streams = finish_connect(&socket);
    line("finish", outcome(&streams));
    line("remote", same(remote(&socket) == local(&listener)));
    line("local", same(local(&socket).ip() == run.ip));
    line("finish again", outcome(&socket.finish_connect()));
    drop(streams);
}

fn refused(run: &Run) {
    let socket = run.socket();
    line("connect", outcome(&connect(&socket, run.deserted())));
}

fn refused_addresses(run: &Run) {
    let live = run.listening();
    let port = local(&live).port();
    for address in [
        SocketAddr::new(run.ip, 0),
        SocketAddr::new(run.choose("0.0.0.0", "::"), port),
        SocketAddr::new(run.choose("224.0.0.1", "ff02::1"), port),
        SocketAddr::new(run.choose("255.255.255.255", "::ffff:127.0.0.1"), port),
        SocketAddr::new(run.choose("::1", "127.0.0.1"), port),
    ] {
        let what = if address.port() == 0 {
            "port 0".to_owned()
        } else {
            address.ip().to_string()
        };
        line(&what, outcome(&connect(&run.socket(), address)));
    }
}

/// The socket is as it was, and takes another address.
fn after_refused_addresses(run: &Run) {
    let live = run.listening();
    let socket = run.socket();
    let other_family = SocketAddr::new(run.choose("::1", "127.0.0.1"), local(&live).port());
    line("port 0", outcome(&connect(&socket, run.any_port())));
    line(
        "of the other family",
        outcome(&connect(&socket, other_family)),
    );
    line("again", outcome(&connect(&socket, other_family)));
    let connected = connect(&socket, local(&live));
    line("another", outcome(&connected));
    drop(connected);
}

/// To be run where there is no network.
fn unreachable(run: &Run) {
    let socket = run.socket();
    let address = SocketAddr::new(run.choose("203.0.113.1", "2001:db8::1"), 9);
    line("connect", outcome(&connect(&socket, address)));
}

fn bound_first(run: &Run) {
    let listener = run.listening();
    let socket = run.bound();
    let bound_to = local(&socket);
    let connected = connect(&socket, local(&listener));
    line("connect", outcome(&connected));
    line("local", same(local(&socket) == bound_to));
    let server = accept(&listener).expect("accepted");
    line(
        "the server's remote",
        same(remote(&server.socket) == bound_to),
    );
    drop(connected);
}

/// A port on which somebody listens can be bound to no second time.
fn bound_to_a_used_port(run: &Run) {
    let listener = run.listening();
    let socket = run.socket();
    let bound = bind(&socket, local(&listener));
    line("bind", outcome(&bound));
    let connected = connect(&socket, local(&listener));
    line("connect", outcome(&connected));
    drop(connected);
}

fn after_failure(run: &Run) {
    let live = run.listening();
    let socket = run.socket();
    line("connect", outcome(&connect(&socket, run.deserted())));
    line("again", outcome(&start_connect(&socket, local(&live))));
    line("finish", outcome(&socket.finish_connect()));
    line("bind", outcome(&bind(&socket, run.any_port())));
}

fn when_connected(run: &Run) {
    let (client, server) = run.pair();
    let live = run.listening();
    let again = |socket| outcome(&start_connect(socket, local(&live)));
    line("the client", again(&client.socket));
    line("the server", again(&server.socket));
    client.send(b"x");
    line("they work", server.receive(1).len());
}

fn denied(run: &Run) {
    let socket = run.socket();
    line("connect", outcome(&connect(&socket, run.port(1))));
    let live = run.listening();
    line("again", outcome(&start_connect(&socket, local(&live))));
}

/// The host's listener has no room for one more.
fn pending(run: &Run) {
    let socket = run.socket();
    line("start", outcome(&start_connect(&socket, run.addresses[0])));
    let pollable = socket.subscribe();
    let state = socket.finish_connect();
    line("finish", outcome(&state));
    line("ready", yes(pollable.ready()));
    wait_for_host();
    pollable.block();
    let streams = socket.finish_connect();
    line("finish after the wait", outcome(&streams));
    assert!(
        !matches!(streams, Err(ErrorCode::WouldBlock)),
        "a wait too short"
    );
    drop((streams, pollable));
    // Another is given up.
    let socket = run.socket();
    line(
        "another",
        outcome(&start_connect(&socket, run.addresses[1])),
    );
    line("finish another", outcome(&socket.finish_connect()));
}
