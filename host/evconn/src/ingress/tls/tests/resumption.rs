//! Resumption: clients that come back, to this process or to another one.

use super::client::{TestDirectory, client, load, make_certificate, meet, trusting_with_versions};
use crate::TicketKeys;
use crate::ingress::tls::TlsConfig;
use rustls::HandshakeKind::{self, Full, Resumed};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::io::{Read, Write};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Returns a server's configuration, and a client's that keeps the tickets that it gets.
fn configs(version: &'static SupportedProtocolVersion) -> (TlsConfig, ClientConfig) {
    let directory = TestDirectory::new();
    let certificate = make_certificate(&directory);
    let trusting = trusting_with_versions(certificate, &[version]);
    (load(&directory), trusting)
}

/// Connects, and returns the kind of the handshake.
async fn visit(server: &TlsConfig, trusting: &ClientConfig) -> HandshakeKind {
    let trusting = trusting.clone();
    let (session, peer) = meet(server, move |stream| {
        let mut client = client(trusting, stream);
        client.write_all(b"x").expect("sent");
        // With TLS 1.3 the tickets come after the handshake.
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("the end");
        client.conn.handshake_kind().expect("done")
    })
    .await;
    drop(session.expect("a session"));
    peer.await.expect("no panic")
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    for version in VERSIONS {
        let (server, trusting) = configs(version);
        assert_eq!(visit(&server, &trusting).await, Full, "{version:?}");
        assert_eq!(visit(&server, &trusting).await, Resumed, "{version:?}");
        assert_eq!(visit(&server, &trusting).await, Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn servers_with_the_same_keys_resume_each_others_sessions() {
    for version in VERSIONS {
        let (server, trusting) = configs(version);
        let directory = TestDirectory::new();
        // Resuming takes no certificate.
        make_certificate(&directory);
        let keys = TicketKeys::generate().expect("keys");
        let (one, other) = (server.ticket_keys(keys.clone()), load(&directory));
        assert_eq!(visit(&one, &trusting).await, Full, "{version:?}");
        other.set_ticket_keys(keys.rotated().expect("keys"));
        assert_eq!(visit(&other, &trusting).await, Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn a_ticket_of_keys_that_are_forgotten_is_a_full_handshake() {
    for version in VERSIONS {
        let (server, trusting) = configs(version);
        assert_eq!(visit(&server, &trusting).await, Full, "{version:?}");
        server.set_ticket_keys(TicketKeys::generate().expect("keys"));
        assert_eq!(visit(&server, &trusting).await, Full, "{version:?}");
        assert_eq!(visit(&server, &trusting).await, Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_keeps_the_tickets() {
    let (server, trusting) = configs(&TLS13);
    assert_eq!(visit(&server, &trusting).await, Full);
    let directory = TestDirectory::new();
    make_certificate(&directory);
    let [certificate, key] = load(&directory).pem();
    server.replace(&certificate, &key).expect("usable");
    assert_eq!(visit(&server, &trusting).await, Resumed);
}

#[tokio::test]
async fn without_tickets_every_handshake_is_a_full_one() {
    for version in VERSIONS {
        let (server, trusting) = configs(version);
        let server = server.without_tickets();
        for _ in 0..3 {
            assert_eq!(visit(&server, &trusting).await, Full, "{version:?}");
        }
    }
}
