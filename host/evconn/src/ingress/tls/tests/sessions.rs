//! Sessions: bytes in both directions, back-pressure, and every way in which they end.

use super::client::{Client, client, configs, echo, meet, readable, receive, send};
use super::client::{try_recv, within, writable};
use crate::ingress::tls::TlsConfig;
use crate::sockets::TlsSession;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use tokio::task::JoinHandle;

/// Returns a session with a client that does this.
async fn session<T: Send + 'static>(
    does: impl FnOnce(Client) -> T + Send + 'static,
) -> (TlsSession, JoinHandle<T>) {
    let (server, trusting) = configs();
    session_with(&server, trusting, does).await
}

async fn session_with<T: Send + 'static>(
    server: &TlsConfig,
    trusting: rustls::ClientConfig,
    does: impl FnOnce(Client) -> T + Send + 'static,
) -> (TlsSession, JoinHandle<T>) {
    let (session, peer) = meet(server, |stream| does(client(trusting, stream))).await;
    (session.expect("a session"), peer)
}

/// Ends the client's side with a `close_notify` and a FIN.
fn end(client: &mut Client) {
    client.conn.send_close_notify();
    client.flush().expect("sent");
    client.sock.shutdown(Shutdown::Write).expect("ended");
}

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 7 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_come_back_as_they_were() {
    let (session, peer) = session(|mut client| {
        let sent = pattern(64 << 10);
        let mut received = vec![0; sent.len()];
        for _ in 0..64 {
            client.write_all(&sent).expect("sent");
            client.read_exact(&mut received).expect("received");
            assert!(received == sent, "other bytes came back");
        }
        end(&mut client);
        client.read_to_end(&mut received).expect("a proper end")
    })
    .await;
    echo(&session).await.expect("echoed");
    session.shutdown(rustix::net::Shutdown::Write);
    assert_eq!(within(peer).await.expect("no panic"), 0);
}

#[tokio::test]
async fn nothing_there_would_block_and_readiness_follows_the_bytes() {
    let (go, wait) = std::sync::mpsc::channel();
    let (session, peer) = session(move |mut client| {
        client
            .conn
            .complete_io(&mut client.sock)
            .expect("a handshake");
        wait.recv().expect("a sign");
        client.write_all(b"hello").expect("sent");
        client
    })
    .await;
    let mut buffer = [0; 3];
    let nothing = try_recv(&session, &mut buffer).expect_err("nothing is there");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    go.send(()).expect("waiting");
    readable(&session).await;
    assert_eq!(try_recv(&session, &mut buffer).expect("bytes"), 3);
    // The rest is in the session's buffer, not in the socket.
    readable(&session).await;
    assert_eq!(try_recv(&session, &mut buffer).expect("bytes"), 2);
    drop(peer.await);
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_sender_up() {
    let (go, wait) = std::sync::mpsc::channel();
    let (session, peer) = session(move |mut client| {
        client
            .conn
            .complete_io(&mut client.sock)
            .expect("a handshake");
        wait.recv().expect("a sign");
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("received");
        received
    })
    .await;
    let bytes = pattern(32 << 20);
    let mut taken = 0;
    let error = loop {
        match session.try_send(&bytes[taken..]) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(taken < bytes.len(), "all of it was taken");
    go.send(()).expect("waiting");
    // What was taken arrives although nobody waits for it: the session is dropped.
    drop(session);
    let received = within(peer).await.expect("no panic");
    assert!(received == bytes[..taken], "{} of {taken}", received.len());
}

#[tokio::test]
async fn this_side_can_end_and_go_on_receiving() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let directory = super::client::TestDirectory::new();
        let certificate = super::client::make_certificate(&directory);
        let trusting = super::client::trusting_with_versions(certificate, &[version]);
        let server = super::client::load(&directory);
        let (session, peer) = session_with(&server, trusting, |mut client| {
            client.write_all(b"first").expect("sent");
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("a proper end");
            client.write_all(b"second").expect("sent");
            end(&mut client);
            answer
        })
        .await;
        let mut buffer = [0; 5];
        assert_eq!(receive(&session, &mut buffer).await.expect("bytes"), 5);
        send(&session, b"answer").await.expect("sent");
        session.shutdown(rustix::net::Shutdown::Write);
        // A second call has no effect.
        session.shutdown(rustix::net::Shutdown::Write);
        let late = session.try_send(b"late").expect_err("it has ended");
        assert_eq!(late.kind(), ErrorKind::BrokenPipe);
        assert_eq!(receive(&session, &mut buffer).await.expect("bytes"), 5);
        assert_eq!(receive(&session, &mut buffer).await.expect("bytes"), 1);
        assert_eq!(receive(&session, &mut buffer).await.expect("the end"), 0);
        readable(&session).await;
        assert_eq!(peer.await.expect("no panic"), "answer");
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_an_error() {
    let (session, peer) = session(|mut client| {
        client.write_all(b"half").expect("sent");
        client.sock.shutdown(Shutdown::Write).expect("ended");
        client
    })
    .await;
    let mut buffer = [0; 9];
    assert_eq!(receive(&session, &mut buffer).await.expect("bytes"), 4);
    for _ in 0..2 {
        let cut = receive(&session, &mut buffer).await.expect_err("cut off");
        assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
    }
    readable(&session).await;
    drop(peer.await);
}

#[tokio::test]
async fn bytes_that_are_no_records_end_the_session() {
    let (go, wait) = std::sync::mpsc::channel();
    let (session, peer) = session(move |mut client| {
        client.write_all(b"good").expect("sent");
        // Only once the handshake is done on the other side, too: otherwise this would be part of it.
        wait.recv().expect("told to go on");
        client
            .sock
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .expect("sent");
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect_err("an alert")
    })
    .await;
    let mut buffer = [0; 9];
    assert_eq!(receive(&session, &mut buffer).await.expect("bytes"), 4);
    go.send(()).expect("the client waits for it");
    let bad = receive(&session, &mut buffer).await.expect_err("an error");
    assert_eq!(bad.kind(), ErrorKind::InvalidData);
    readable(&session).await;
    writable(&session).await;
    let closed = session.try_send(b"x").expect_err("it has ended");
    assert_eq!(closed.kind(), ErrorKind::InvalidData);
    drop(session);
    let told = within(peer).await.expect("no panic").to_string();
    assert!(told.contains("alert"), "{told}");
}

#[tokio::test]
async fn an_aborted_session_does_not_look_like_an_end() {
    let (session, peer) = session(|mut client| {
        let mut received = Vec::new();
        client
            .read_to_end(&mut received)
            .expect_err("cut off")
            .kind()
    })
    .await;
    send(&session, b"half of it").await.expect("sent");
    session.abort();
    let after = session.try_send(b"x").expect_err("it has ended");
    assert_eq!(after.kind(), ErrorKind::ConnectionAborted);
    readable(&session).await;
    drop(session);
    assert_eq!(
        within(peer).await.expect("no panic"),
        ErrorKind::UnexpectedEof
    );
}

#[tokio::test]
async fn a_dropped_session_ends_properly() {
    let (session, peer) = session(|mut client| {
        let mut received = String::new();
        client.read_to_string(&mut received).expect("a proper end");
        received
    })
    .await;
    send(&session, b"all of it").await.expect("sent");
    drop(session);
    assert_eq!(within(peer).await.expect("no panic"), "all of it");
}

/// Sends `count` records that have no bytes of the application.
async fn records_without_bytes(count: usize) -> io::Result<usize> {
    let (go, wait) = std::sync::mpsc::channel();
    let (session, peer) = session(move |mut client| {
        client
            .conn
            .complete_io(&mut client.sock)
            .expect("a handshake");
        // Only once the handshake is done on the other side, too: otherwise they would be part of it.
        wait.recv().expect("told to go on");
        for _ in 0..count {
            // An update of the keys.
            client.conn.refresh_traffic_keys().expect("allowed");
        }
        // The session may have been refused by then.
        let _ = client.write_all(b"x");
        client
    })
    .await;
    go.send(()).expect("the client waits for it");
    let received = receive(&session, &mut [0; 9]).await;
    drop(peer.await);
    received
}

#[tokio::test]
async fn records_without_bytes_are_passed_over() {
    assert_eq!(records_without_bytes(30).await.expect("a byte"), 1);
}

#[tokio::test]
async fn too_many_records_without_bytes_end_the_session() {
    let refused = records_without_bytes(1000).await.expect_err("too many");
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
}
