//! What many guests write at the same time without waiting is sent, whatever they do next.

use super::Running;
use crate::support::descriptors::unchanged;
use crate::support::{ask, read_line, wait_for_close, within};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Enough for many messages at a time, on each worker.
const PEERS: usize = 24;

/// What every guest is told at last.
const LAST: [&str; 4] = ["hello", "leave", "trap", "spin"];

/// Has all of them answer at the same time.
async fn ask_all<'a>(peers: &mut [TcpStream], line_of: impl Fn(usize) -> &'a str) {
    for (number, peer) in peers.iter_mut().enumerate() {
        let line = format!("{}\n", line_of(number));
        peer.write_all(line.as_bytes()).await.expect("sent");
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        let answer = within("an answer", read_line(peer)).await;
        assert_eq!(answer.trim_end(), line_of(number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_sent_whatever_its_guest_does_next() {
    let _open = unchanged();
    let grace = Duration::from_millis(50);
    let server = Running::start_with(|builder| builder, |shutdown| shutdown.grace(grace)).await;
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = server.connect().await;
        assert_eq!(ask(&mut peer, "lines\nhello\n").await, "hello\n");
        peers.push(peer);
    }
    for _ in 0..50 {
        ask_all(&mut peers, |_| "hello again").await;
    }
    ask_all(&mut peers, |number| LAST[number % LAST.len()]).await;
    for (number, peer) in peers.iter_mut().enumerate() {
        match LAST[number % LAST.len()] {
            "leave" | "trap" => wait_for_close(peer).await,
            "hello" => assert_eq!(ask(peer, "still here\n").await, "still here\n"),
            _ => {}
        }
    }
    let served = server.stop().await;
    let each = (PEERS / LAST.len()) as u64;
    // Those that spin, and those that wait for more.
    assert_eq!((served.failed, served.killed), (each, 2 * each));
}
