//! One listener, an IPv6 and an IPv4 socket on the same port.

use crate::support::descriptors::unchanged;
use crate::support::{connect, descriptors, has_ipv6, host, within};
use evconn::{Error, ErrorCode, Listener, ListenerBuilder};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::sync::mpsc;

fn builder() -> ListenerBuilder {
    Listener::builder(host()).dual_stack(true)
}

fn v6(ip: Ipv6Addr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// A dual-stack listener that sends the families of its peers on.
async fn listening() -> (Listener, mpsc::UnboundedReceiver<bool>) {
    let (sender, families) = mpsc::unbounded_channel();
    let listener = builder()
        .on_connection(move |_, connection| {
            // The test may have ended, and dropped the receiver.
            let _ = sender.send(connection.peer_addr().is_ipv6());
        })
        .bind(v6(Ipv6Addr::LOCALHOST, 0))
        .await
        .expect("a listener");
    (listener, families)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_addresses_have_one_port() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    for (ipv6, ipv4) in [
        (Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
        (Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED),
    ] {
        let listener = builder().bind(v6(ipv6, 0)).await.expect("a listener");
        let port = listener.local_addr().port();
        assert_ne!(port, 0);
        assert_eq!(
            listener.local_addrs(),
            [v6(ipv6, port), SocketAddr::new(ipv4.into(), port)]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_both_families_are_accepted() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let (listener, mut families) = listening().await;
    let mut clients = Vec::new();
    for address in listener.local_addrs() {
        clients.push(connect(*address).await);
        let is_ipv6 = within("a connection", families.recv()).await;
        assert_eq!(is_ipv6, Some(address.is_ipv6()));
    }
}

/// Peers wait on both: of each pair of connections that is taken, one is of either family.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_family_starves_the_other() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let (listener, mut families) = listening().await;
    listener.disable();
    let mut clients = Vec::new();
    for address in listener.local_addrs() {
        for _ in 0..10 {
            clients.push(connect(*address).await);
        }
    }
    listener.enable().expect("enabled");
    let mut seen = Vec::new();
    while seen.len() < 20 {
        seen.push(within("a connection", families.recv()).await.expect("one"));
    }
    let turns = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // wasi-sockets may report that a socket has no connection although there is one, and then the other
    // socket is served. But one family must not have to wait for all peers of the other.
    assert!(turns >= 10, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_counterpart_is_invalid() {
    let _open = unchanged();
    let addresses: [IpAddr; 3] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    ];
    for ip in addresses {
        match builder().bind(SocketAddr::new(ip, 0)).await {
            Err(Error::Socket(ErrorCode::InvalidArgument)) => {}
            other => panic!("{ip}: {other:?}"),
        }
    }
}

/// The port is in use for IPv4: binding fails, and the IPv6 socket is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_fails_clean_when_one_half_cannot_be_bound() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port();
    match builder().bind(v6(Ipv6Addr::LOCALHOST, port)).await {
        Err(Error::Socket(ErrorCode::AddressInUse)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(descriptors::bound_to(v6(Ipv6Addr::LOCALHOST, port)), 0);
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, port)).expect("nothing is left open");
}

/// libevent: `LEV_OPT_BIND_IPV6ONLY` beside `LEV_OPT_BIND_IPV4_AND_IPV6`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dual_stack_wins_over_ipv6_only() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let listener = builder()
        .ipv6_only(true)
        .bind(v6(Ipv6Addr::LOCALHOST, 0))
        .await
        .expect("a listener");
    assert_eq!(listener.local_addrs().len(), 2);
}
