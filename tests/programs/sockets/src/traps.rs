//! What ends the instance: the mistakes that wasi-sockets and `wasi:io` do not forgive.
//!
//! Each has its preparation reported first, so that a trap which came too early is noticed.

use crate::bindings::wasi::io::poll::poll;
use crate::net::{Connection, Run};
use crate::report::line;

crate::cases!(
    socket_before_input,
    socket_before_output,
    socket_before_pollable,
    listener_before_pollable,
    input_before_pollable,
    output_before_pollable,
    empty_poll,
    write_without_permission,
    write_too_much,
    listener_before_accepted
);

fn ready() {
    line("ready", "");
}

fn socket_before_input(run: &Run) {
    let (client, _server) = run.pair();
    let Connection {
        input: _input,
        output,
        socket,
    } = client;
    drop(output);
    ready();
    drop(socket);
}

fn socket_before_output(run: &Run) {
    let (client, _server) = run.pair();
    let Connection {
        input,
        output: _output,
        socket,
    } = client;
    drop(input);
    ready();
    drop(socket);
}

fn socket_before_pollable(run: &Run) {
    let socket = run.socket();
    let _pollable = socket.subscribe();
    ready();
    drop(socket);
}

fn listener_before_pollable(run: &Run) {
    let socket = run.listening();
    let _pollable = socket.subscribe();
    ready();
    drop(socket);
}

fn input_before_pollable(run: &Run) {
    let (client, _server) = run.pair();
    let _pollable = client.input.subscribe();
    ready();
    drop(client);
}

fn output_before_pollable(run: &Run) {
    let (client, _server) = run.pair();
    let _pollable = client.output.subscribe();
    ready();
    drop(client);
}

fn empty_poll(_run: &Run) {
    ready();
    poll(&[]);
}

fn write_without_permission(run: &Run) {
    let (client, _server) = run.pair();
    ready();
    let _ = client.output.write(b"x");
}

fn write_too_much(run: &Run) {
    let (client, _server) = run.pair();
    let permitted = client.permitted();
    let bytes = vec![0; permitted as usize + 1];
    ready();
    let _ = client.output.write(&bytes);
}

/// No mistake: what was accepted is on its own.
fn listener_before_accepted(run: &Run) {
    let (client, server) = run.pair();
    ready();
    client.send(b"x");
    line("received", server.receive(1).len());
}
