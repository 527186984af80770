//! The streams of a connection, from the program's side and from its peer's.

use crate::sockets::case::{Case, Program};
use crate::sockets::streams::{number, rest, send, started};
use crate::support::{exchange, reset, within};
use socket2::SockRef;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub async fn echo(case: Case) {
    let (program, peer) = started(&case).await;
    let request: Vec<_> = (0..1_000_000u32).flat_map(u32::to_be_bytes).collect();
    assert!(exchange(peer, &request).await == request, "other bytes");
    program.ends(&["received: ok", "sent: ok"]).await;
}

pub async fn peer_ends(case: Case) {
    let (program, mut peer) = started(&case).await;
    send(&mut peer, b"hello").await;
    peer.shutdown().await.expect("shut down");
    assert_eq!(rest(&mut peer).await, b"world");
    program
        .ends(&["read: 5", "at the end: dropped", "received: ok"])
        .await;
}

pub async fn peer_ends_at_once(case: Case) {
    let (program, peer) = started(&case).await;
    drop(peer);
    program.ends(&["read: dropped", "received: ok"]).await;
}

/// The peer sees the end, and may go on.
pub async fn output_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, b"hello");
    assert_eq!(program.hear("sent").await, "ok");
    send(&mut peer, b"world").await;
    program.tell().await;
    program.ends(&["read: true"]).await;
}

async fn five_bytes(peer: &mut TcpStream) {
    let mut bytes = [0; 5];
    let read = within("five bytes", peer.read_exact(&mut bytes)).await;
    read.expect("five bytes");
}

pub async fn input_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("received").await, "ok");
    five_bytes(&mut peer).await;
    send(&mut peer, b"nobody reads that").await;
    program.tell().await;
    five_bytes(&mut peer).await;
    program.ends(&[]).await;
}

/// How a connection has ended for its peer, which has read all there was before.
async fn end(peer: &mut TcpStream) -> &'static str {
    let mut bytes = Vec::new();
    let end = within("the end", peer.read_to_end(&mut bytes)).await;
    match end {
        Ok(_) if bytes == b"hello" => "regular",
        Ok(_) => "something is missing",
        Err(error) if error.kind() == ErrorKind::ConnectionReset => "a reset",
        Err(error) => panic!("{error}"),
    }
}

pub async fn input_dropped_unread(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    send(&mut peer, b"more than is read").await;
    program.tell().await;
    assert_eq!(program.hear("first").await, "true");
    assert_eq!(program.hear("received").await, "ok");
    program.hear("dropped").await;
    no_reset_follows(case, program, peer).await;
}

/// The peer reads what was written, and a regular end. When all is closed, it has seen no reset after it, either.
async fn no_reset_follows(case: Case, mut program: Program, mut peer: TcpStream) {
    assert_eq!(end(&mut peer).await, "regular");
    program.tell().await;
    let (lines, ended) = program.end().await;
    assert_eq!(lines, [""; 0]);
    ended.expect("no trap");
    let failure = SockRef::from(&peer).take_error().expect("an option");
    let seen = if failure.is_some() {
        "a reset"
    } else {
        "nothing"
    };
    case.sees("after the end", seen, "nothing");
}

pub async fn socket_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    send(&mut peer, b"x").await;
    assert_eq!(program.hear("first").await, "true");
    assert_eq!(program.hear("left").await, "0");
    assert_eq!(rest(&mut peer).await, b"hello");
    send(&mut peer, b"world").await;
    drop(peer);
    program.ends(&["sent: ok", "rest: 5", "received: ok"]).await;
}

pub async fn all_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(end(&mut peer).await, "regular");
    program.tell().await;
    program.ends(&[]).await;
}

pub async fn never_taken(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, b"");
    program.tell().await;
    program.ends(&[]).await;
}

pub async fn unread_input(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    send(&mut peer, b"nobody reads that").await;
    program.tell().await;
    no_reset_follows(case, program, peer).await;
}

pub async fn back_pressure(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("room").await, "no");
    let written = number(&mut program, "written").await;
    assert!(written >= 1 << 16, "it is full after {written} bytes");
    assert_eq!(rest(&mut peer).await.len(), written + 4);
    program.ends(&["then: 0", "more: 4"]).await;
}

pub async fn reset_while_reading(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    send(&mut peer, b"x").await;
    assert_eq!(program.hear("before").await, "1");
    reset(peer);
    program.tell().await;
    program
        .ends(&["read: dropped", "received: connection-reset"])
        .await;
}

pub async fn reset_while_waiting(case: Case) {
    let (mut program, peer) = started(&case).await;
    program.hear("connected").await;
    reset(peer);
    program
        .ends(&["wait: 0", "read: dropped", "received: connection-reset"])
        .await;
}

pub async fn reset_while_writing(case: Case) {
    let (mut program, peer) = started(&case).await;
    program.hear("connected").await;
    reset(peer);
    program.ends(&["sent: yes"]).await;
}

pub async fn taken_twice(case: Case) {
    let (program, peer) = started(&case).await;
    assert_eq!(exchange(peer, b"world").await, b"hello");
    program
        .ends(&[
            "write: dropped",
            "left: 8",
            "sent: invalid-state",
            "read: dropped",
            "received: invalid-state",
            "the first one: 5",
        ])
        .await;
}

pub async fn reads_of_nothing(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("at once").await, "no");
    program.hear("waits").await;
    send(&mut peer, b"hello").await;
    assert_eq!(program.hear("then").await, "0");
    assert_eq!(program.hear("read").await, "5");
    drop(peer);
    program
        .ends(&["more: 0", "the end: dropped", "received: ok"])
        .await;
}

pub async fn writes_of_nothing(case: Case) {
    let (program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, b"hello");
    program.ends(&["write: 0", "again: 0"]).await;
}

pub async fn a_read_that_is_cancelled(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("at once").await, "no");
    assert_eq!(program.hear("cancelled").await, "cancelled");
    send(&mut peer, b"hello").await;
    program.ends(&["bytes: hello"]).await;
}

pub async fn a_write_that_is_cancelled(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    let written = number(&mut program, "written").await;
    assert_eq!(program.hear("sent").await, "ok");
    assert_eq!(rest(&mut peer).await.len(), written);
    program.ends(&[]).await;
}

pub async fn many_writes(case: Case) {
    crate::sockets::streams::many_writes(case).await;
}

pub async fn many_connections(case: Case) {
    case.says(&["echoed: yes"]).await;
}

/// Its status is 0, which is a regular end.
pub async fn left_open(case: Case) {
    let (program, mut peer) = started(&case).await;
    assert_eq!(end(&mut peer).await, "regular");
    program.ends(&[]).await;
}

/// It has not ended regularly, and so has its connection.
pub async fn trap(case: Case) {
    let (mut program, mut peer): (Program, _) = started(&case).await;
    five_bytes(&mut peer).await;
    program.tell().await;
    let (lines, trap) = program.end().await;
    assert_eq!(lines, [""; 0]);
    trap.expect_err("a trap");
    let end = within("the end", peer.read(&mut [0])).await;
    let end = match end {
        Ok(_) => "regular",
        Err(_) => "a reset",
    };
    case.sees("the end", end, "a reset");
}

pub use crate::sockets::streams::urgent_data;
