//! The streams of a connection. The host is the other end, and looks at it from there.

use crate::bindings::wasi::io::streams::StreamError;
use crate::net::{Connection, Run};
use crate::report::{line, outcome, stream_outcome, wait_for_host, yes};

crate::cases!(
    peer_ends,
    peer_ends_at_once,
    output_dropped,
    output_dropped_with_unsent,
    input_dropped,
    both_dropped,
    all_dropped,
    back_pressure,
    reset_while_reading,
    reset_while_waiting,
    reset_while_writing,
    nothing_to_read,
    nothing_to_write,
    echo,
    many_writes,
    urgent_data,
    flushed
);

/// Half of the connection is over; the other half goes on.
fn peer_ends(run: &Run) {
    let server = run.serve_one();
    line("read", stream_outcome(&server.input.blocking_read(5)));
    line("at the end", stream_outcome(&server.input.blocking_read(5)));
    line("and again", stream_outcome(&server.input.read(5)));
    line("of nothing", stream_outcome(&server.input.read(0)));
    line("ready", yes(server.input.subscribe().ready()));
    server.send(b"world");
}

/// Nothing was sent.
fn peer_ends_at_once(run: &Run) {
    let server = run.serve_one();
    line("read", stream_outcome(&server.input.blocking_read(5)));
}

fn output_dropped(run: &Run) {
    let Connection {
        input,
        output,
        socket,
    } = run.serve_one();
    output.blocking_write_and_flush(b"hello").expect("sent");
    drop(output);
    wait_for_host();
    line("read", stream_outcome(&input.blocking_read(5)));
    drop((input, socket));
}

fn output_dropped_with_unsent(run: &Run) {
    let server = run.serve_one();
    // So that the kernel does not happen to take the last of it.
    let _ = server.socket.set_send_buffer_size(4096);
    line("written", server.fill());
    let Connection {
        input,
        output,
        socket,
    } = server;
    drop(output);
    line("dropped", "");
    drop((input, socket));
}

/// The peer may go on sending.
fn input_dropped(run: &Run) {
    let Connection {
        input,
        output,
        socket,
    } = run.serve_one();
    drop(input);
    output.blocking_write_and_flush(b"hello").expect("sent");
    wait_for_host();
    output.blocking_write_and_flush(b"world").expect("sent");
    drop((output, socket));
}

/// The socket is still there.
fn both_dropped(run: &Run) {
    let Connection {
        input,
        output,
        socket,
    } = run.serve_one();
    output.blocking_write_and_flush(b"hello").expect("sent");
    drop((input, output));
    line("dropped", outcome(&socket.local_address()));
    wait_for_host();
    drop(socket);
}

fn all_dropped(run: &Run) {
    let server = run.serve_one();
    server.send(b"hello");
    drop(server);
    wait_for_host();
}

/// Nothing is permitted while the peer does not read, and the pollable says when there is.
fn back_pressure(run: &Run) {
    let server = run.serve_one();
    let written = server.fill();
    let pollable = server.output.subscribe();
    line("ready", yes(pollable.ready()));
    line("written", written);
    pollable.block();
    let permitted = server.output.check_write();
    line("permitted", yes(permitted.is_ok_and(|count| count > 0)));
    drop(pollable);
}

/// The first error is told of once.
fn reset_while_reading(run: &Run) {
    let server = run.serve_one();
    line("before", stream_outcome(&server.input.blocking_read(1)));
    wait_for_host();
    line("read", stream_outcome(&server.input.blocking_read(1)));
    line("and again", stream_outcome(&server.input.read(1)));
    line("and again", stream_outcome(&server.input.blocking_read(1)));
}

/// Nothing was read before, and it has waited for something to read.
fn reset_while_waiting(run: &Run) {
    let server = run.serve_one();
    wait_for_host();
    server.input.subscribe().block();
    line("read", stream_outcome(&server.input.read(1)));
    line("and again", stream_outcome(&server.input.read(1)));
}

fn reset_while_writing(run: &Run) {
    let server = run.serve_one();
    server.fill();
    line("full", "");
    let error = write_until_error(&server);
    let closed = matches!(error, StreamError::Closed);
    line("write", if closed { "closed" } else { "failed" });
    line("and again", stream_outcome(&server.output.check_write()));
    let again = server.output.blocking_write_and_flush(b"x");
    line("write again", stream_outcome(&again));
    line("ready", yes(server.output.subscribe().ready()));
}

fn write_until_error(server: &Connection) -> StreamError {
    loop {
        match server.output.check_write() {
            Ok(0) => server.output.subscribe().block(),
            Ok(_) => {
                if let Err(error) = server.output.write(b"x") {
                    return error;
                }
            }
            Err(error) => return error,
        }
    }
}

/// A read without waiting finds nothing, and the pollable says when there is something.
fn nothing_to_read(run: &Run) {
    let server = run.serve_one();
    let count = |bytes: Result<Vec<u8>, _>| bytes.map_or(usize::MAX, |bytes| bytes.len());
    line("read", count(server.input.read(5)));
    line("read of nothing", count(server.input.read(0)));
    let pollable = server.input.subscribe();
    line("ready", yes(pollable.ready()));
    line("tell the peer", "");
    pollable.block();
    line("read less", count(server.input.read(2)));
    line("ready with some left", yes(pollable.ready()));
    line("read the rest", server.receive(3).len());
    line("read no more", count(server.input.read(5)));
    line("ready then", yes(pollable.ready()));
    line("skip", "");
    line("skipped", server.input.blocking_skip(2).unwrap_or_default());
    line("read after it", server.receive(3).len());
    drop(pollable);
}

fn nothing_to_write(run: &Run) {
    let server = run.serve_one();
    line("permitted", yes(server.permitted() > 0));
    line("write", stream_outcome(&server.output.write(b"")));
    line("ready", yes(server.output.subscribe().ready()));
    line("flush", stream_outcome(&server.output.flush()));
    let zeroes = server.output.blocking_write_zeroes_and_flush(5);
    line("zeroes", stream_outcome(&zeroes));
}

fn echo(run: &Run) {
    let server = run.serve_one();
    let ended = loop {
        if let Err(error) = server.output.blocking_splice(&server.input, u64::MAX) {
            break error;
        }
    };
    line("ended", stream_outcome::<()>(&Err(ended)));
}

/// In their order, whatever their sizes.
fn many_writes(run: &Run) {
    let server = run.serve_one();
    let mut next = 0u32;
    while next < 20_000 {
        let permitted = server.output.check_write().expect("it is open");
        if permitted < 4 * 7 {
            server.output.subscribe().block();
            continue;
        }
        let numbers = next..next + 1 + next % 7;
        next = numbers.end;
        let bytes: Vec<_> = numbers.flat_map(u32::to_be_bytes).collect();
        server.output.write(&bytes).expect("it is permitted");
    }
    line("written", next);
}

/// A flush is over only when the stream takes more.
fn flushed(run: &Run) {
    let server = run.serve_one();
    let permitted = server.permitted();
    let bytes = vec![b'x'; permitted as usize];
    line("write", stream_outcome(&server.output.write(&bytes)));
    line("flush", stream_outcome(&server.output.blocking_flush()));
    line("written", permitted);
    wait_for_host();
}

/// The host sends 6 bytes, one of urgent data, and 30,000; then nothing, until it has them all back.
fn urgent_data(run: &Run) {
    let server = run.serve_one();
    for round in 0..3 {
        // Told of the first ones, and then of the others: nobody is told once more.
        server.input.subscribe().block();
        line("round", round);
        wait_for_host();
        let received = server.receive(30_006);
        received.chunks(4096).for_each(|chunk| server.send(chunk));
    }
}
