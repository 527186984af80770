//! The streams of a connection, and the futures that say how they have ended.

use crate::bindings::wit_stream;
use crate::net::Connection;
use crate::report::{outcome, progress, yes};
use crate::run::Run;
use futures_util::FutureExt;
use futures_util::future::join;
use std::pin::pin;
use wit_bindgen::StreamResult;

crate::cases!(
    echo,
    peer_ends,
    peer_ends_at_once,
    output_dropped,
    input_dropped,
    input_dropped_unread,
    socket_dropped,
    all_dropped,
    never_taken,
    unread_input,
    back_pressure,
    reset_while_reading,
    reset_while_waiting,
    reset_while_writing,
    taken_twice,
    reads_of_nothing,
    writes_of_nothing,
    a_read_that_is_cancelled,
    a_write_that_is_cancelled,
    many_writes,
    many_connections,
    urgent_data,
    left_open,
    trap
);

/// How much a case reads at a time.
const PIECE: usize = 64 << 10;

/// Read that much or less.
async fn read(connection: &mut Connection, most: usize) -> (String, usize) {
    let (result, bytes) = connection.input.read(Vec::with_capacity(most)).await;
    (progress(result), bytes.len())
}

async fn echo(run: &Run) {
    let mut server = run.serve_one().await;
    let mut buffer = Vec::with_capacity(PIECE);
    loop {
        let (result, bytes) = server.input.read(buffer).await;
        buffer = server.output.write_all(bytes).await;
        if result == StreamResult::Dropped {
            break;
        }
    }
    run.line("received", outcome(&server.received.await)).await;
    drop(server.output);
    run.line("sent", outcome(&server.sent.await)).await;
}

/// Half of the connection is over; the other half goes on.
async fn peer_ends(run: &Run) {
    let mut server = run.serve_one().await;
    run.line("read", server.receive(5).await.len()).await;
    run.line("at the end", read(&mut server, 5).await.0).await;
    run.line("received", outcome(&server.received.await)).await;
    let left = server.output.write_all(b"world".to_vec()).await;
    assert!(left.is_empty());
}

/// Nothing was sent.
async fn peer_ends_at_once(run: &Run) {
    let mut server = run.serve_one().await;
    run.line("read", read(&mut server, 5).await.0).await;
    run.line("received", outcome(&server.received.await)).await;
}

async fn output_dropped(run: &Run) {
    let mut server = run.serve_one().await;
    server.send(b"hello").await;
    drop(server.output);
    run.line("sent", outcome(&server.sent.await)).await;
    run.wait_for_host().await;
    run.line("read", server.input.next().await.is_some()).await;
    drop(server.socket);
}

/// The peer may go on sending.
async fn input_dropped(run: &Run) {
    let mut server = run.serve_one().await;
    drop(server.input);
    run.line("received", outcome(&server.received.await)).await;
    let left = server.output.write_all(b"hello".to_vec()).await;
    assert!(left.is_empty());
    run.wait_for_host().await;
    let left = server.output.write_all(b"world".to_vec()).await;
    assert!(left.is_empty());
}

/// What was there is discarded, and the end is regular.
async fn input_dropped_unread(run: &Run) {
    let mut server = run.serve_one().await;
    run.wait_for_host().await;
    run.line("first", server.input.next().await.is_some()).await;
    drop(server.input);
    run.line("received", outcome(&server.received.await)).await;
    let left = server.output.write_all(b"hello".to_vec()).await;
    assert!(left.is_empty());
    drop((server.output, server.socket, server.sent));
    run.line("dropped", "").await;
    run.wait_for_host().await;
}

/// Its streams go on.
async fn socket_dropped(run: &Run) {
    let Connection {
        socket,
        mut output,
        sent,
        mut input,
        received,
    } = run.serve_one().await;
    drop(socket);
    run.line("first", input.next().await.is_some()).await;
    let left = output.write_all(b"hello".to_vec()).await;
    run.line("left", left.len()).await;
    drop(output);
    run.line("sent", outcome(&sent.await)).await;
    let rest = input.collect().await;
    run.line("rest", rest.len()).await;
    run.line("received", outcome(&received.await)).await;
}

async fn all_dropped(run: &Run) {
    let mut server = run.serve_one().await;
    server.send(b"hello").await;
    drop(server);
    run.wait_for_host().await;
}

/// The socket is dropped, and had no streams.
async fn never_taken(run: &Run) {
    let mut listener = run.listening();
    run.line("listening", crate::net::local(&listener.socket))
        .await;
    drop(listener.accept().await);
    run.wait_for_host().await;
}

/// The peer has sent something that nobody reads. It gets all the same what was written.
async fn unread_input(run: &Run) {
    let mut server = run.serve_one().await;
    run.wait_for_host().await;
    server.send(b"hello").await;
    drop(server);
    run.wait_for_host().await;
}

/// A write waits while the peer does not read, and nothing is lost.
async fn back_pressure(run: &Run) {
    let mut server = run.serve_one().await;
    // The first write may have to wait until the host knows that it can write.
    server.send(b"x").await;
    let mut written = 1;
    loop {
        let mut writes = pin!(server.output.write(vec![b'x'; PIECE]));
        let (result, _) = match writes.as_mut().now_or_never() {
            Some(result) => result,
            None => writes.cancel(),
        };
        match result {
            StreamResult::Complete(count) => written += count,
            StreamResult::Cancelled => break,
            StreamResult::Dropped => panic!("it is open"),
        }
    }
    let mut waits = Box::pin(server.output.write(Vec::new()));
    run.line("room", yes(waits.as_mut().now_or_never().is_some()))
        .await;
    run.line("written", written).await;
    run.line("then", progress(waits.as_mut().await.0)).await;
    drop(waits);
    let (result, _) = server.output.write(b"more".to_vec()).await;
    run.line("more", progress(result)).await;
}

async fn reset_while_reading(run: &Run) {
    let mut server = run.serve_one().await;
    run.line("before", server.receive(1).await.len()).await;
    let (read, ()) = join(read(&mut server, 1), run.wait_for_host()).await;
    run.line("read", read.0).await;
    run.line("received", outcome(&server.received.await)).await;
}

/// It has waited for something to read.
async fn reset_while_waiting(run: &Run) {
    let mut server = run.serve_one().await;
    run.line("connected", "").await;
    run.line("wait", read(&mut server, 0).await.0).await;
    run.line("read", read(&mut server, 1).await.0).await;
    run.line("received", outcome(&server.received.await)).await;
}

async fn reset_while_writing(run: &Run) {
    let mut server = run.serve_one().await;
    run.line("connected", "").await;
    loop {
        let (result, _) = server.output.write(vec![b'x'; PIECE]).await;
        if result == StreamResult::Dropped {
            break;
        }
    }
    let sent = server.sent.await;
    let is_over = matches!(outcome(&sent), "connection-broken" | "connection-reset");
    run.line("sent", yes(is_over)).await;
}

async fn taken_twice(run: &Run) {
    let mut server = run.serve_one().await;
    let (mut output, data) = wit_stream::new();
    let sent = server.socket.send(data);
    let (result, left) = output.write(b"nobody's".to_vec()).await;
    run.line("write", progress(result)).await;
    run.line("left", left.into_vec().len()).await;
    run.line("sent", outcome(&sent.await)).await;
    let (mut input, received) = server.socket.receive();
    let (result, _) = input.read(Vec::with_capacity(1)).await;
    run.line("read", progress(result)).await;
    run.line("received", outcome(&received.await)).await;
    server.send(b"hello").await;
    run.line("the first one", server.receive(5).await.len())
        .await;
}

/// It ends when there is something, and takes nothing.
async fn reads_of_nothing(run: &Run) {
    let mut server = run.serve_one().await;
    let mut waits = Box::pin(server.input.read(Vec::new()));
    run.line("at once", yes(waits.as_mut().now_or_never().is_some()))
        .await;
    run.line("waits", "").await;
    run.line("then", progress(waits.as_mut().await.0)).await;
    drop(waits);
    run.line("read", server.receive(5).await.len()).await;
    run.line("more", read(&mut server, 0).await.0).await;
    run.line("the end", read(&mut server, 5).await.0).await;
    run.line("received", outcome(&server.received.await)).await;
}

async fn writes_of_nothing(run: &Run) {
    let mut server = run.serve_one().await;
    let (result, _) = server.output.write(Vec::new()).await;
    run.line("write", progress(result)).await;
    server.send(b"hello").await;
    let (result, _) = server.output.write(Vec::new()).await;
    run.line("again", progress(result)).await;
}

/// It takes no bytes along.
async fn a_read_that_is_cancelled(run: &Run) {
    let mut server = run.serve_one().await;
    let mut reads = Box::pin(server.input.read(Vec::with_capacity(5)));
    run.line("at once", yes(reads.as_mut().now_or_never().is_some()))
        .await;
    let (result, _) = reads.as_mut().cancel();
    drop(reads);
    run.line("cancelled", progress(result)).await;
    run.line("bytes", String::from_utf8_lossy(&server.receive(5).await))
        .await;
}

/// What it has not taken is left to the guest.
async fn a_write_that_is_cancelled(run: &Run) {
    let mut server = run.serve_one().await;
    // The first write may have to wait until the host knows that it can write.
    server.send(b"x").await;
    let mut written = 1;
    loop {
        let mut writes = pin!(server.output.write(vec![b'x'; PIECE]));
        let (result, left) = match writes.as_mut().now_or_never() {
            Some(result) => result,
            None => writes.cancel(),
        };
        written += PIECE - left.into_vec().len();
        if result == StreamResult::Cancelled {
            break;
        }
    }
    drop(server.output);
    run.line("written", written).await;
    run.line("sent", outcome(&server.sent.await)).await;
}

/// In their order, whatever their sizes.
async fn many_writes(run: &Run) {
    let mut server = run.serve_one().await;
    let mut next = 0u32;
    while next < 20_000 {
        let numbers = next..next + 1 + next % 7;
        next = numbers.end;
        let bytes: Vec<_> = numbers.flat_map(u32::to_be_bytes).collect();
        server.send(&bytes).await;
    }
    run.line("written", next).await;
}

/// Nothing is left of them.
async fn many_connections(run: &Run) {
    const COUNT: usize = 300;
    let mut echoed = 0;
    for _ in 0..COUNT {
        let (client, server) = run.pair().await;
        let (mut client, mut server) = (Connection::of(client), Connection::of(server));
        client.send(b"hello").await;
        let bytes = server.receive(5).await;
        server.send(&bytes).await;
        echoed += usize::from(client.receive(5).await == b"hello");
    }
    run.line("echoed", yes(echoed == COUNT)).await;
}

/// The program ends with connections that it has not dropped.
async fn left_open(run: &Run) {
    let mut server = run.serve_one().await;
    server.send(b"hello").await;
    std::mem::forget(server);
}

/// The program traps with a connection, whose socket it has dropped.
async fn trap(run: &Run) {
    let mut server = run.serve_one().await;
    server.send(b"hello").await;
    drop(server.socket);
    run.wait_for_host().await;
    panic!("as it was told to");
}

/// Round by round, so that nothing is left of the one before.
async fn urgent_data(run: &Run) {
    let mut server = run.serve_one().await;
    for round in 0..3 {
        let first = server.receive(6).await;
        run.line("round", round).await;
        run.wait_for_host().await;
        let rest = server.receive(30_000).await;
        server.send(&first).await;
        server.send(&rest).await;
    }
}
