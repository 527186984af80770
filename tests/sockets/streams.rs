//! The streams of a connection, from the program's side and from its peer's.

use super::case::{Case, Program};
use crate::support::{exchange, reset, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// All that comes until the end.
pub async fn rest(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![];
    let read = within("the end", peer.read_to_end(&mut bytes)).await;
    read.expect("an end, and no reset");
    bytes
}

pub async fn send(peer: &mut TcpStream, bytes: &[u8]) {
    peer.write_all(bytes).await.expect("sent");
}

pub async fn started(case: &Case) -> (Program, TcpStream) {
    let mut program = case.start(&[]);
    let peer = program.connect().await;
    (program, peer)
}

pub async fn peer_ends(case: Case) {
    let (program, mut peer) = started(&case).await;
    send(&mut peer, b"hello").await;
    peer.shutdown().await.expect("shut down");
    assert_eq!(rest(&mut peer).await, b"world");
    program
        .ends(&[
            "read: ok",
            "at the end: closed",
            "and again: closed",
            "of nothing: closed",
            "ready: yes",
        ])
        .await;
}

pub async fn peer_ends_at_once(case: Case) {
    let (program, peer) = started(&case).await;
    drop(peer);
    program.ends(&["read: closed"]).await;
}

/// A number that the program says.
pub async fn number(program: &mut Program, what: &str) -> usize {
    program.hear(what).await.parse().expect("a number")
}

/// Whether the peer gets five bytes and then, while the socket is still there, the end.
async fn sees_the_end(case: Case, program: &mut Program, peer: &mut TcpStream) {
    let mut bytes = [0; 6];
    let read = within("what was written", peer.read_exact(&mut bytes[..5])).await;
    read.expect("five bytes");
    let end = timeout(case.implementation.patience(), peer.read(&mut bytes)).await;
    let end = match end {
        Ok(count) => count.expect("no reset") == 0,
        Err(_) => false,
    };
    program.sees(
        "the peer sees the end",
        if end { "yes" } else { "no" },
        "yes",
    );
}

pub async fn output_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    sees_the_end(case, &mut program, &mut peer).await;
    program.tell().await;
    send(&mut peer, b"world").await;
    program.ends(&["read: ok"]).await;
}

/// The drop waits for nobody, and yet nothing is lost.
pub async fn output_dropped_with_unsent(case: Case) {
    let mut program = case.start(&[]);
    let mut peer = program.connect_narrowly().await;
    let written = number(&mut program, "written").await;
    let patience = case.implementation.patience();
    let dropped = timeout(patience, program.hear("dropped")).await;
    let waits = if dropped.is_err() { "yes" } else { "no" };
    program.sees("the drop waits for the peer", waits, "no");
    assert_eq!(rest(&mut peer).await.len(), written);
    if dropped.is_err() {
        program.hear("dropped").await;
    }
    program.ends(&[]).await;
}

pub async fn input_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    let mut bytes = [0; 5];
    let read = within("the first half", peer.read_exact(&mut bytes)).await;
    read.expect("five bytes");
    send(&mut peer, b"nobody reads that").await;
    program.tell().await;
    let mut bytes = [0; 5];
    let read = within("the second half", peer.read_exact(&mut bytes)).await;
    read.expect("five bytes");
    program.ends(&[]).await;
}

pub async fn both_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("dropped").await, "ok");
    sees_the_end(case, &mut program, &mut peer).await;
    program.tell().await;
    program.ends(&[]).await;
}

pub async fn all_dropped(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, b"hello");
    program.tell().await;
    program.ends(&[]).await;
}

pub async fn back_pressure(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("ready").await, "no");
    let written = number(&mut program, "written").await;
    assert!(written >= 1 << 16, "it is full after {written} bytes");
    let mut bytes = vec![0; written];
    let read = within("all of it", peer.read_exact(&mut bytes)).await;
    read.expect("all of it");
    program.ends(&["permitted: yes"]).await;
}

pub async fn reset_while_reading(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    send(&mut peer, b"x").await;
    assert_eq!(program.hear("before").await, "ok");
    reset(peer);
    program.tell().await;
    program
        .ends(&["read: failed", "and again: closed", "and again: closed"])
        .await;
}

pub async fn reset_while_waiting(case: Case) {
    let (mut program, peer) = started(&case).await;
    reset(peer);
    program.tell().await;
    program.ends(&["read: failed", "and again: closed"]).await;
}

pub async fn reset_while_writing(case: Case) {
    let (mut program, peer) = started(&case).await;
    program.hear("full").await;
    reset(peer);
    program
        .ends(&[
            "write: failed",
            "and again: closed",
            "write again: closed",
            "ready: yes",
        ])
        .await;
}

pub async fn nothing_to_read(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    for said in [("read", "0"), ("read of nothing", "0"), ("ready", "no")] {
        assert_eq!(program.hear(said.0).await, said.1);
    }
    program.hear("tell the peer").await;
    send(&mut peer, b"hello").await;
    for said in [
        ("read less", "2"),
        ("ready with some left", "yes"),
        ("read the rest", "3"),
        ("read no more", "0"),
        ("ready then", "no"),
    ] {
        assert_eq!(program.hear(said.0).await, said.1, "{}", said.0);
    }
    program.hear("skip").await;
    send(&mut peer, b"world").await;
    program.ends(&["skipped: 2", "read after it: 3"]).await;
}

pub async fn nothing_to_write(case: Case) {
    let (program, mut peer) = started(&case).await;
    assert_eq!(rest(&mut peer).await, [0; 5]);
    program
        .ends(&[
            "permitted: yes",
            "write: ok",
            "ready: yes",
            "flush: ok",
            "zeroes: ok",
        ])
        .await;
}

pub async fn echo(case: Case) {
    let (program, peer) = started(&case).await;
    let request: Vec<_> = (0..1_000_000u32).flat_map(u32::to_be_bytes).collect();
    assert!(exchange(peer, &request).await == request, "other bytes");
    program.ends(&["ended: closed"]).await;
}

pub async fn many_writes(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    let bytes = rest(&mut peer).await;
    let written = number(&mut program, "written").await;
    let expected: Vec<_> = (0..written as u32).flat_map(u32::to_be_bytes).collect();
    assert!(bytes == expected, "other bytes");
    program.ends(&[]).await;
}

/// The peer has read nothing yet: the kernel has what it takes.
pub async fn flushed(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    assert_eq!(program.hear("write").await, "ok");
    let mut bytes = vec![];
    let read = async {
        assert_eq!(program.hear("flush").await, "ok");
        let written = number(&mut program, "written").await;
        program.tell().await;
        written
    };
    let (read, written) = tokio::join!(peer.read_to_end(&mut bytes), within("the flush", read));
    read.expect("all of it");
    assert_eq!(bytes.len(), written);
    program.ends(&[]).await;
}

/// What is urgent is not the stream's, and what follows it comes, though nothing more does.
pub async fn urgent_data(case: Case) {
    let (mut program, mut peer) = started(&case).await;
    let (first, rest) = (vec![1; 6], vec![2; 30_000]);
    for round in 0..3 {
        send(&mut peer, &first).await;
        assert_eq!(number(&mut program, "round").await, round);
        let sent = socket2::SockRef::from(&peer).send_out_of_band(b"!");
        assert_eq!(sent.expect("sent"), 1);
        send(&mut peer, &rest).await;
        program.tell().await;
        let mut bytes = vec![0; first.len() + rest.len()];
        let read = within("all of it", peer.read_exact(&mut bytes)).await;
        read.expect("as many");
        assert!(bytes == [&first[..], &rest].concat());
    }
    program.ends(&[]).await;
}
