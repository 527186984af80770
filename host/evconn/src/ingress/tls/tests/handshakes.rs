//! Handshakes: what is negotiated, and who is refused.

use super::client::{TestDirectory, client, configs, load, make_certificate, meet, pair};
use super::client::{trusting_with_versions, within};
use crate::ingress::tls::{TlsConfig, described, handshake};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// Returns why a peer that does this is refused, and what the peer received.
async fn refusal<T: Send + 'static>(
    server: &TlsConfig,
    peer: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, T) {
    let (session, peer) = meet(server, peer).await;
    let cause = session.expect_err("refused").to_string();
    (cause, peer.await.expect("no panic"))
}

fn sends(bytes: &'static [u8]) -> impl FnOnce(TcpStream) -> Vec<u8> {
    move |mut stream| {
        stream.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }
}

#[tokio::test]
async fn what_was_agreed_on_can_be_logged() {
    for (versions, expected) in [
        (&[&rustls::version::TLS13], "TLSv1_3"),
        (&[&rustls::version::TLS12], "TLSv1_2"),
    ] {
        let directory = TestDirectory::new();
        let certificate = make_certificate(&directory);
        let server = load(&directory).alpn(["h2", "echo"]);
        let mut trusting = trusting_with_versions(certificate, versions);
        trusting.alpn_protocols = vec![b"echo".to_vec()];
        let (plain, stream) = pair().await;
        let peer = spawn_blocking(|| client(trusting, stream).write_all(b"hello"));
        let session = within(handshake(&plain, &server)).await;
        assert_eq!(
            described(&session.expect("a session")),
            format!("{expected}, name \"localhost\", protocol \"echo\"")
        );
        peer.await.expect("no panic").expect("sent");
    }
}

#[tokio::test]
async fn a_client_that_offers_no_protocol_is_let_in() {
    let (server, trusting) = configs();
    let (session, peer) = meet(&server.alpn(["echo"]), |stream| {
        client(trusting, stream).write_all(b"x")
    })
    .await;
    session.expect("a session");
    peer.await.expect("no panic").expect("sent");
}

#[tokio::test]
async fn a_client_without_a_protocol_in_common_is_refused() {
    let (server, mut trusting) = configs();
    trusting.alpn_protocols = vec![b"other".to_vec()];
    let (cause, told) = refusal(&server.alpn(["echo"]), |stream| {
        client(trusting, stream).write_all(b"x")
    })
    .await;
    assert_eq!(
        cause,
        "TLS handshake: peer doesn't support any known protocol"
    );
    let told = told.expect_err("an alert").to_string();
    assert!(told.contains("NoApplicationProtocol"), "{told}");
}

#[tokio::test]
async fn plain_text_is_told_that_this_is_tls() {
    let (server, _) = configs();
    for (sent, shown) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "GET / HTTP/1.1\\r\\n\\r\\n"),
        (b"h", "h"),
    ] {
        let (cause, answer) = refusal(&server, sends(sent)).await;
        assert_eq!(cause, format!("not TLS: it began with \"{shown}\""));
        // An alert, and nothing else.
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 10]);
    }
}

#[tokio::test]
async fn what_only_begins_as_tls_is_refused_with_an_alert() {
    let (server, _) = configs();
    let (cause, answer) = refusal(&server, sends(b"\x16hello, how are you?")).await;
    assert!(cause.starts_with("TLS handshake: "), "{cause}");
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_says_so() {
    let (server, _) = configs();
    let (_, other) = configs();
    let (cause, told) = refusal(&server, |stream| client(other, stream).write_all(b"x")).await;
    assert!(
        cause.starts_with("TLS handshake: received fatal alert"),
        "{cause}"
    );
    told.expect_err("it does not trust it");
}

#[tokio::test]
async fn a_peer_that_closes_is_told_apart() {
    let (server, _) = configs();
    let (cause, ()) = refusal(&server, drop).await;
    assert_eq!(cause, "the peer closed it before it sent anything");
    let (cause, _) = refusal(&server, |mut stream| {
        stream.write_all(&[22, 3, 1]).expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
        stream
    })
    .await;
    assert_eq!(cause, "TLS handshake: the peer closed it halfway");
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let (server, _) = configs();
    let server = server.handshake_timeout(Duration::from_millis(50));
    let (cause, _stream) = refusal(&server, |stream| stream).await;
    assert_eq!(cause, "TLS handshake: not complete within 50ms");
}
