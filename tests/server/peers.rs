//! Who may connect: refused before any code of the service runs.

use super::Running;
use super::limits::{connect_from, from, is_refused};
use crate::support::descriptors::unchanged;
use crate::support::{DEADLINE, ask, wait_for_close};
use evconn::{Ingress, Limits, PeerFilter, ProxyProtocol, ServerBuilder, TrustedProxies};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn only(allowed: &str) -> PeerFilter {
    PeerFilter::all().allow(allowed).expect("a network")
}

#[tokio::test]
async fn peers_that_are_not_allowed_are_reset() {
    let _open = unchanged();
    let server = Running::start(|builder| builder.peers(only("127.0.0.2"))).await;
    is_refused(connect_from("127.0.0.1", server.address)).await;
    let mut friend = from("127.0.0.2", server.address).await;
    assert_eq!(ask(&mut friend, "echo\nhello\n").await, "hello\n");
    drop(friend);
    let served = server.stop().await;
    assert_eq!((served.connections, served.refused), (2, 1));
}

#[tokio::test]
async fn peers_that_are_denied_are_reset() {
    let _open = unchanged();
    let filter = PeerFilter::all().deny("127.0.0.1").expect("a network");
    let server = Running::start(|builder| builder.peers(filter)).await;
    is_refused(connect_from("127.0.0.1", server.address)).await;
    let mut friend = from("127.0.0.2", server.address).await;
    assert_eq!(ask(&mut friend, "echo\nhello\n").await, "hello\n");
    drop(friend);
    server.stop().await;
}

/// A network may be written as that of the mapped addresses.
#[tokio::test]
async fn peers_of_a_network_of_mapped_addresses_are_reset() {
    let _open = unchanged();
    let filter = PeerFilter::all().deny("::ffff:127.0.0.0/104");
    let server = Running::start(|builder| builder.peers(filter.expect("a network"))).await;
    is_refused(connect_from("127.0.0.1", server.address)).await;
    let served = server.stop().await;
    assert_eq!((served.connections, served.refused), (1, 1));
}

/// Behind a proxy, it is the announced peer that counts.
#[tokio::test]
async fn peers_that_a_proxy_announces_are_reset() {
    let _open = unchanged();
    let server = start_at(behind_a_proxy(), |builder| {
        builder.peers(only("192.0.2.0/24"))
    })
    .await;
    let mut friend = announced(&server, "192.0.2.7", 1234).await;
    assert_eq!(ask(&mut friend, "echo\nhello\n").await, "hello\n");
    // Port 0 is what a peer of a Unix socket passes for, which may always connect.
    for port in [1234, 0] {
        let mut stranger = announced(&server, "198.51.100.7", port).await;
        wait_for_close(&mut stranger).await;
    }
    drop(friend);
    let served = server.stop().await;
    assert_eq!((served.connections, served.refused), (3, 2));
}

pub fn behind_a_proxy() -> Ingress {
    let trusted = TrustedProxies::none().network("127.0.0.1");
    Ingress::new().proxy_protocol(ProxyProtocol::new(trusted.expect("a network")))
}

/// A server with this ingress.
pub async fn start_at(
    ingress: Ingress,
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> Running {
    let builder = evconn::Server::builder(&super::service().with_ingress(ingress));
    let listening = builder.listen("127.0.0.1:0".parse().expect("a source"));
    Running::run(configure(listening), |shutdown| shutdown.grace(DEADLINE)).await
}

/// A connection that a proxy has made for this peer.
pub async fn announced(server: &Running, peer: &str, port: u16) -> TcpStream {
    let mut stream = server.connect().await;
    let (kind, own) = match peer.contains(':') {
        true => ("TCP6", "2001:db8::"),
        false => ("TCP4", "192.0.2.1"),
    };
    let header = format!("PROXY {kind} {peer} {own} {port} 80\r\n");
    stream.write_all(header.as_bytes()).await.expect("sent");
    stream
}

fn two_for_each_peer(peer_ipv6_prefix: u8) -> Limits {
    Limits {
        max_connections_per_peer: Some(2),
        peer_ipv6_prefix,
        ..Limits::default()
    }
}

/// Who has one address of IPv6 mostly has all of its network.
#[tokio::test]
async fn addresses_of_one_network_of_ipv6_are_one_peer() {
    let _open = unchanged();
    for (prefix, third_is_served) in [(64, false), (128, true)] {
        let server = start_at(behind_a_proxy(), |builder| {
            builder.limits(two_for_each_peer(prefix))
        })
        .await;
        let mut served = Vec::new();
        for peer in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"] {
            let mut stream = announced(&server, peer, 1234).await;
            assert_eq!(ask(&mut stream, "echo\nhello\n").await, "hello\n");
            served.push(stream);
        }
        let mut third = announced(&server, "2001:db8::3", 1234).await;
        match third_is_served {
            true => assert_eq!(ask(&mut third, "echo\nhello\n").await, "hello\n"),
            false => wait_for_close(&mut third).await,
        }
        drop((served, third));
        server.stop().await;
    }
}

/// Handshakes that nobody begins.
#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::support::certificate::Certificate;
    use crate::support::within;

    fn encrypted(ingress: Ingress, certificate: &Certificate) -> Ingress {
        let config = evconn::TlsConfig::from_files(certificate.cert(), certificate.key());
        // The test is over before this is.
        ingress.tls(config.expect("usable").handshake_timeout(10 * DEADLINE))
    }

    /// Waits until `open` connections are open and one was refused. If several arrive at about the same
    /// time, any of them may be the refused one: each is admitted by its worker.
    async fn has_open_and_refused_one(server: &Running, open: usize) {
        let handle = server.handle.clone();
        let are_so_many = async || handle.served().refused == 1 && handle.open() == open;
        super::super::eventually("one of them is refused", are_so_many).await;
    }

    #[tokio::test]
    async fn a_peer_that_begins_no_handshake_has_no_more_connections_than_others() {
        let _open = unchanged();
        let certificate = Certificate::new();
        let ingress = encrypted(Ingress::new(), &certificate);
        let server = start_at(ingress, |builder| builder.limits(two_for_each_peer(64))).await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            // The one that is refused may be so before it knows that it is connected.
            silent.push(connect_from("127.0.0.1", server.address).await);
        }
        has_open_and_refused_one(&server, 2).await;
        let other = from("127.0.0.2", server.address).await;
        has_open_and_refused_one(&server, 3).await;
        drop((silent, other));
        let served = server.stop().await;
        assert_eq!((served.connections, served.refused), (4, 4));
    }

    #[tokio::test]
    async fn behind_a_proxy_a_peer_is_counted_before_its_handshake() {
        let _open = unchanged();
        let certificate = Certificate::new();
        let ingress = encrypted(behind_a_proxy(), &certificate);
        let server = start_at(ingress, |builder| builder.limits(two_for_each_peer(64))).await;
        let mut silent = Vec::new();
        for port in 1..=3 {
            silent.push(announced(&server, "192.0.2.7", port).await);
        }
        has_open_and_refused_one(&server, 2).await;
        let mut other = announced(&server, "192.0.2.8", 1).await;
        // It is in its handshake: what is no TLS is told so.
        other.write_all(b"hello\n").await.expect("sent");
        let mut alert = [0; 7];
        let read = tokio::io::AsyncReadExt::read_exact(&mut other, &mut alert);
        within("an alert", read).await.expect("an alert");
        assert_eq!(alert[0], 21);
        drop((silent, other));
        server.stop().await;
    }
}
