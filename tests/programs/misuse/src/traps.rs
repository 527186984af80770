//! The mistakes that end the instance, by the rules of wasi-sockets and `wasi:io`.
//!
//! Each has its preparation reported first, so that a trap which came too early is noticed.

use crate::bindings::evconn::tcp::connection::Connection;
use crate::bindings::evconn::tcp::listener::{Event, Listener};
use crate::bindings::wasi::io::poll::poll;
use crate::net::{OWN, Peer, address, bound_socket, connect, listen, port};
use crate::report::line;

/// Make the mistake of that name. Whoever returns from it has not trapped.
pub fn spring(which: &str) -> Result<(), ()> {
    let mistake = match which {
        "socket-before-streams" => socket_before_streams,
        "stream-before-pollable" => stream_before_pollable,
        "listener-before-pollables" => listener_before_pollables,
        "sockets-before-pollables" => sockets_before_pollables,
        "empty-poll" => empty_poll,
        "from-sockets-with-streams" => from_sockets_with_streams,
        "from-sockets-with-pollable" => from_sockets_with_pollable,
        _ => return Err(()),
    };
    mistake();
    line("survived", which);
    Ok(())
}

/// All is in place on that port: what comes now is the mistake.
fn ready(port: u16) {
    line("ready", &format!("{OWN}:{port}"));
}

fn accept_one() -> (Listener, Peer, Connection) {
    let (listener, local) = listen();
    let peer = connect(local);
    let event = listener.wait_events(1, None).pop();
    let Some(Event::Connection(event)) = event else {
        panic!("no connection");
    };
    ready(port(local));
    (listener, peer, event.connection)
}

fn socket_before_streams() {
    let (_listener, _peer, connection) = accept_one();
    drop(connection.socket);
}

fn stream_before_pollable() {
    let (_listener, _peer, connection) = accept_one();
    let _pollable = connection.input.subscribe();
    drop(connection.input);
}

fn listener_before_pollables() {
    let (listener, local) = listen();
    let _pollables = listener.subscribe();
    ready(port(local));
    drop(listener);
}

fn sockets_before_pollables() {
    let (listener, local) = listen();
    let _pollables = listener.subscribe();
    let sockets = Listener::into_sockets(listener);
    ready(port(local));
    drop(sockets);
}

/// What `subscribe` of a disabled listener returns must not be polled.
fn empty_poll() {
    let (listener, local) = listen();
    listener.disable();
    let pollables = listener.subscribe();
    ready(port(local));
    poll(&pollables.iter().collect::<Vec<_>>());
}

/// It fails, since the socket is connected, and then cannot be closed.
fn from_sockets_with_streams() {
    let (_listener, _peer, connection) = accept_one();
    let Connection {
        input: _input,
        output: _output,
        socket,
        ..
    } = connection;
    drop(Listener::from_sockets(vec![socket], None));
}

/// It works, but the listener cannot be dropped.
fn from_sockets_with_pollable() {
    let socket = bound_socket(address(OWN, 0));
    let _pollable = socket.subscribe();
    let local = socket.local_address().expect("an address");
    let listener = Listener::from_sockets(vec![socket], None).expect("a listener");
    ready(port(local));
    drop(listener);
}
