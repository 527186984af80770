//! `shutdown`, and what becomes of the streams. The host is the other end.

use crate::bindings::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::bindings::wasi::io::poll::poll;
use crate::bindings::wasi::sockets::tcp::ShutdownType;
use crate::net::{Connection, Run};
use crate::report::{line, outcome, stream_outcome, wait_for_host, yes};

crate::cases!(
    shutdown_send,
    shutdown_receive,
    shutdown_both,
    shutdown_twice,
    shutdown_send_loses_nothing,
    shutdown_send_watched,
    shutdown_send_waited_for
);

fn shutdown_send(run: &Run) {
    let server = run.serve_one();
    server.send(b"hello");
    server.permitted();
    let shut = server.socket.shutdown(ShutdownType::Send);
    line("shutdown", outcome(&shut));
    line("write", stream_outcome(&server.output.write(b"x")));
    line("check-write", stream_outcome(&server.output.check_write()));
    line("flush", stream_outcome(&server.output.flush()));
    line("ready", yes(server.output.subscribe().ready()));
    line("received", server.receive_all().len());
}

/// What has come by then is not read any more, and the output goes on.
fn shutdown_receive(run: &Run) {
    let server = run.serve_one();
    server.input.subscribe().block();
    let shut = server.socket.shutdown(ShutdownType::Receive);
    line("shutdown", outcome(&shut));
    line("read", stream_outcome(&server.input.read(5)));
    line("ready", yes(server.input.subscribe().ready()));
    server.send(b"hello");
}

fn shutdown_both(run: &Run) {
    let server = run.serve_one();
    let shut = server.socket.shutdown(ShutdownType::Both);
    line("shutdown", outcome(&shut));
    line("read", stream_outcome(&server.input.read(5)));
    line("check-write", stream_outcome(&server.output.check_write()));
    wait_for_host();
}

/// Each of them, in every order, and once more when the peer has gone and the streams are dropped.
fn shutdown_twice(run: &Run) {
    use ShutdownType::{Both, Receive, Send};
    for (name, order) in [
        ("receive first", [Receive, Receive, Send, Both]),
        ("send first", [Send, Send, Receive, Both]),
        ("both first", [Both, Both, Send, Receive]),
    ] {
        let (client, server) = run.pair();
        let shut = |how| outcome(&client.socket.shutdown(how));
        line(name, order.map(shut).join(" "));
        drop(server);
    }
    let (client, _server) = run.pair();
    let Connection {
        input,
        output,
        socket,
    } = client;
    drop((input, output));
    line("without streams", outcome(&socket.shutdown(Both)));
}

/// All that the stream has taken, although the peer reads none of it before.
fn shutdown_send_loses_nothing(run: &Run) {
    let server = run.serve_one();
    let written = server.fill();
    let shut = server.socket.shutdown(ShutdownType::Send);
    line("shutdown", outcome(&shut));
    line("written", written);
    wait_for_host();
    server.output.subscribe().block();
    line("check-write", stream_outcome(&server.output.check_write()));
}

/// Who looks on for a while does not take the matter over.
fn shutdown_send_watched(run: &Run) {
    let server = run.serve_one();
    let written = server.fill();
    let shut = server.socket.shutdown(ShutdownType::Send);
    line("shutdown", outcome(&shut));
    for _ in 0..3 {
        let (output, timer) = (server.output.subscribe(), subscribe_duration(1_000_000));
        poll(&[&output, &timer]);
    }
    line("written", written);
    wait_for_host();
}

/// Until the stream says that it is closed, be that before or after all is sent.
fn shutdown_send_waited_for(run: &Run) {
    let server = run.serve_one();
    line("written", server.fill());
    let shut = server.socket.shutdown(ShutdownType::Send);
    let closed = loop {
        server.output.subscribe().block();
        match server.output.check_write() {
            Ok(0) => {}
            result => break result,
        }
    };
    line("shutdown", outcome(&shut));
    line("check-write", stream_outcome(&closed));
    wait_for_host();
}
