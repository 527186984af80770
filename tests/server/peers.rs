//! Who may connect: refused before any code of the service runs.

use super::Running;
use super::limits::{connect_from, from, is_refused};
use crate::support::descriptors::unchanged;
use crate::support::{ask, wait_for_close};
use evconn::{Edge, PeerFilter, ProxyProtocol, TrustedProxies};
use tokio::io::AsyncWriteExt;

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

/// Behind a proxy, it is the announced peer that counts.
#[tokio::test]
async fn peers_that_a_proxy_announces_are_reset() {
    let _open = unchanged();
    let trusted = TrustedProxies::none()
        .network("127.0.0.1")
        .expect("a network");
    let edge = Edge::new().proxy_protocol(ProxyProtocol::new(trusted));
    let service = super::service().with_edge(edge);
    let listener = crate::support::listen([127, 0, 0, 1].into()).await;
    let address = listener.local_addr();
    let server = evconn::Server::builder(&service)
        .listener(listener)
        .peers(only("192.0.2.0/24"))
        .bind()
        .await
        .expect("a server");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(evconn::Shutdown::on(stopped)));

    let mut friend = crate::support::connect(address).await;
    friend
        .write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n")
        .await
        .expect("sent");
    assert_eq!(ask(&mut friend, "echo\nhello\n").await, "hello\n");
    // Port 0 is what a peer of a Unix socket passes for, which may always connect.
    for port in ["1234", "0"] {
        let mut stranger = crate::support::connect(address).await;
        let header = format!("PROXY TCP4 198.51.100.7 192.0.2.1 {port} 80\r\n");
        stranger.write_all(header.as_bytes()).await.expect("sent");
        wait_for_close(&mut stranger).await;
    }
    drop((friend, stop));
    let served = super::ended(running).await;
    assert_eq!((served.connections, served.refused), (3, 2));
}
