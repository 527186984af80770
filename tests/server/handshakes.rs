//! Handshakes under way: those that are never completed keep nobody out. The PROXY header stands for both kinds.

use super::peers::start_at;
use super::{Running, eventually};
use crate::support::descriptors::unchanged;
use crate::support::{DEADLINE, ask, is_reset, within};
use evconn::{Ingress, Limits, ProxyProtocol, TrustedProxies};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n";

/// A server that waits for a header for longer than any test lasts.
async fn patient(limits: Limits) -> Running {
    let trusted = TrustedProxies::none().network("127.0.0.0/8");
    let proxy = ProxyProtocol::new(trusted.expect("a network")).timeout(100 * DEADLINE);
    let ingress = Ingress::new().proxy_protocol(proxy);
    start_at(ingress, |builder| builder.limits(limits)).await
}

/// Connections that send nothing, but for those that have made place before they knew that they are connected.
async fn silent(server: &Running, count: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..count {
        match within("connecting", TcpStream::connect(server.address)).await {
            Ok(peer) => silent.push(peer),
            Err(error) => assert!(is_reset(&error), "{error}"),
        }
    }
    silent
}

async fn is_served(server: &Running) -> TcpStream {
    let mut peer = server.connect().await;
    peer.write_all(HEADER).await.expect("sent");
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    peer
}

fn limits(max_connections: usize) -> Limits {
    Limits {
        max_connections,
        // All of them are announced with one public address.
        max_connections_per_peer: Some(usize::MAX),
        ..Limits::default()
    }
}

#[tokio::test]
async fn more_than_there_may_be_make_place_for_the_next() {
    let _open = unchanged();
    // Half of them may be silent.
    let server = patient(limits(40)).await;
    let silent = silent(&server, 100).await;
    let peer = is_served(&server).await;
    let handle = server.handle.clone();
    // In which order its threads begin to serve them is open.
    eventually("the others are reset", async || handle.open() <= 21).await;
    assert!(handle.open() >= 20, "{}", handle.open());
    drop((peer, silent));
    let served = server.stop().await;
    assert_eq!(served.connections, 101);
    assert!(served.refused >= 80, "{served:?}");
}

#[tokio::test]
async fn slow_ones_make_place_when_all_connections_are_in_use() {
    let _open = unchanged();
    let server = patient(limits(20)).await;
    let mut served = Vec::new();
    for _ in 0..10 {
        served.push(is_served(&server).await);
    }
    // As many as there may be in all, and fewer than may be silent.
    let silent = silent(&server, 10).await;
    let handle = server.handle.clone();
    eventually("all connections are in use", async || handle.open() == 20).await;
    served.push(is_served(&server).await);
    for peer in &mut served {
        peer.write_all(b"still here\n").await.expect("sent");
    }
    drop((served, silent));
    let counts = server.stop().await;
    assert_eq!((counts.connections, counts.failed), (21, 0));
}
