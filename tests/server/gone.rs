//! Peers that are gone do not take up capacity, whatever their guest waits for.

use super::{Running, eventually};
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{ask, exchange, read_line, reset, within};
use evconn::InstancePolicy;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn none_is_open(server: &Running) {
    let handle = server.handle.clone();
    eventually("the connection has ended", async || handle.open() == 0).await;
}

#[tokio::test]
async fn a_reset_ends_what_its_guest_does() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    for (command, answer) in [("ignore\n", "ignoring\n"), ("spin\n", "spinning\n")] {
        let mut peer = server.connect().await;
        assert_eq!(ask(&mut peer, command).await, answer);
        reset(peer);
        none_is_open(&server).await;
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.peer_gone), (2, 2));
    assert_eq!((served.failed, served.killed), (0, 0));
}

#[tokio::test]
async fn a_reset_ends_an_instance_that_was_used_before() {
    let _open = unchanged();
    let reuse = InstancePolicy {
        reuse: NonZeroU32::new(100),
        idle_timeout: Duration::from_secs(600),
        ..InstancePolicy::default()
    };
    let server = Running::start(|builder| builder.instances(reuse)).await;
    assert_eq!(exchange(server.connect().await, b"count\n").await, b"1\n");
    none_is_open(&server).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "ignore\n").await, "ignoring\n");
    reset(peer);
    none_is_open(&server).await;
    assert_eq!(exchange(server.connect().await, b"count\n").await, b"1\n");
    server.stop().await;
}

/// What the guest says of it is less than what is known.
#[tokio::test]
async fn a_reset_is_no_failure_of_the_guest() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    for command in ["echo\nhello\n", "error-at-the-end\nhello\n"] {
        let mut peer = server.connect().await;
        assert_eq!(ask(&mut peer, command).await, "hello\n");
        reset(peer);
        none_is_open(&server).await;
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.failed), (2, 0));
}

#[tokio::test]
async fn a_peer_that_has_ended_its_side_is_not_gone() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut peer = server.connect().await;
    peer.write_all(b"wait 100\n").await.expect("sent");
    peer.shutdown().await.expect("ended");
    assert_eq!(within("an answer", read_line(&mut peer)).await, "waited\n");
    drop(peer);
    assert_eq!(server.stop().await.peer_gone, 0);
}

/// After both sides have ended it, there is nobody left to wait for.
#[tokio::test]
async fn a_hang_up_ends_the_connection_after_a_while() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut peer = server.connect().await;
    let request = b"end shutdown-and-go-on bye";
    peer.write_all(request).await.expect("sent");
    peer.write_all(b"\n").await.expect("sent");
    let mut answer = Vec::new();
    within("the end", peer.read_to_end(&mut answer))
        .await
        .expect("a regular end");
    assert_eq!(answer, b"bye");
    drop(peer);
    none_is_open(&server).await;
    assert_eq!(server.stop().await.peer_gone, 1);
}

/// A Unix socket that its peer has closed still has what that has sent.
#[cfg(unix)]
#[tokio::test]
async fn a_hang_up_leaves_what_was_not_read_to_the_guest() {
    use crate::support::scratch::Scratch;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let _open = unchanged();
    let log = Log::start();
    let scratch = Scratch::new();
    let path = scratch.join("socket");
    let source = format!("unix:{}", path.display());
    let server = Running::start(|builder| builder.listen(source.parse().expect("a source"))).await;
    let mut peer = UnixStream::connect(&path).expect("connected");
    peer.write_all(b"read-late 200\n").expect("sent");
    let mut answer = [0; 8];
    let peer = tokio::task::spawn_blocking(move || {
        peer.read_exact(&mut answer).expect("it is served");
        peer.write_all(&[b'x'; 5000]).expect("sent");
        peer
    });
    drop(within("it is served", peer).await.expect("no panic"));
    none_is_open(&server).await;
    assert_eq!(server.stop().await.peer_gone, 0);
    let text = log.text();
    assert!(text.contains("5000 bytes were read late"), "{text}");
}
