//! The options that the host sets on the sockets of the listener component and on their connections.

use crate::support::log::Log;
use crate::support::{connect, descriptors, host, over_both_families, wait_for_close, within};
use evconn::sockets::{KeepAlive, Policy, TcpOptions, Use};
use evconn::{Connection, Error, ErrorCode, Listener};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver};

over_both_families!(
    small_pieces_are_sent_at_once_unless_it_is_turned_off,
    keep_alive_is_set_on_what_is_accepted,
    two_listeners_share_an_address_if_both_want_to,
    a_peer_that_says_nothing_is_held_back_by_the_kernel,
    a_peer_that_is_not_allowed_is_reset_and_counted,
    an_address_that_is_not_allowed_is_refused_and_counted,
);

fn options(change: impl FnOnce(&mut TcpOptions)) -> TcpOptions {
    let mut options = TcpOptions::default();
    change(&mut options);
    options
}

/// A listener that hands its connections over.
async fn listen(
    address: SocketAddr,
    options: TcpOptions,
) -> Result<(Listener, UnboundedReceiver<Connection>), Error> {
    let (sender, connections) = mpsc::unbounded_channel();
    let listener = Listener::builder(host())
        .tcp_options(options)
        .on_connection(move |_, connection| {
            // The test may have ended.
            let _ = sender.send(connection);
        })
        .bind(address)
        .await?;
    Ok((listener, connections))
}

/// What each socket on that address says: the listening one, and one that was accepted.
fn of_both<T: std::fmt::Debug + PartialEq>(
    address: SocketAddr,
    mut get: impl FnMut(&socket2::Socket) -> std::io::Result<T>,
) -> T {
    let mut values = Vec::new();
    descriptors::for_each(address, |socket| {
        values.push(get(&socket).expect("its value"))
    });
    assert_eq!(values.len(), 2, "the listening socket and the connection");
    assert_eq!(values[0], values[1]);
    values.remove(0)
}

async fn small_pieces_are_sent_at_once_unless_it_is_turned_off(ip: IpAddr) {
    for nodelay in [true, false] {
        let options = options(|options| options.nodelay = nodelay);
        let (listener, mut connections) = listen(SocketAddr::new(ip, 0), options)
            .await
            .expect("a listener");
        let _peer = connect(listener.local_addr()).await;
        let _connection = within("a connection", connections.recv()).await;
        let set = of_both(listener.local_addr(), |socket| socket.tcp_nodelay());
        assert_eq!(set, nodelay);
    }
}

async fn keep_alive_is_set_on_what_is_accepted(ip: IpAddr) {
    let keep_alive = KeepAlive {
        idle: Duration::from_secs(77),
        interval: Duration::from_secs(7),
        count: 3,
    };
    let options = options(|options| options.keep_alive = Some(keep_alive));
    let (listener, mut connections) = listen(SocketAddr::new(ip, 0), options)
        .await
        .expect("a listener");
    let _peer = connect(listener.local_addr()).await;
    let _connection = within("a connection", connections.recv()).await;
    let set = of_both(listener.local_addr(), |socket| {
        Ok((
            socket.keepalive()?,
            socket.tcp_keepalive_time()?,
            socket.tcp_keepalive_interval()?,
            socket.tcp_keepalive_retries()?,
        ))
    });
    assert_eq!(
        set,
        (true, keep_alive.idle, keep_alive.interval, keep_alive.count)
    );
}

async fn two_listeners_share_an_address_if_both_want_to(ip: IpAddr) {
    let shared = options(|options| options.reuse_port = true);
    let (one, _its) = listen(SocketAddr::new(ip, 0), shared.clone())
        .await
        .expect("a listener");
    let (other, _its) = listen(one.local_addr(), shared).await.expect("another one");
    assert_eq!(one.local_addr(), other.local_addr());
    let error = listen(one.local_addr(), TcpOptions::default())
        .await
        .map(|(listener, _)| listener)
        .expect_err("a third one that does not share");
    assert!(matches!(error, Error::Socket(ErrorCode::AddressInUse)));

    // The kernel chooses by the peer's port: of so many, neither gets all.
    let mut peers = Vec::new();
    while one.stats().accepted == 0 || other.stats().accepted == 0 {
        assert!(peers.len() < 1_000, "all to one of them");
        peers.push(connect(one.local_addr()).await);
        tokio::task::yield_now().await;
    }
}

async fn a_peer_that_says_nothing_is_held_back_by_the_kernel(ip: IpAddr) {
    let options = options(|options| options.defer_accept = Some(Duration::from_secs(60)));
    let (listener, mut connections) = listen(SocketAddr::new(ip, 0), options)
        .await
        .expect("a listener");
    let silent = connect(listener.local_addr()).await;
    let mut talking = connect(listener.local_addr()).await;
    talking.write_all(b"x").await.expect("sent");
    // The second one is there, and the first one, which came before it, is not.
    let connection = within("a connection", connections.recv()).await;
    let peer = connection.expect("one").peer_addr();
    assert_eq!(peer, talking.local_addr().expect("its address"));
    assert_eq!(listener.stats().accepted, 1);
    drop(silent);
}

async fn a_peer_that_is_not_allowed_is_reset_and_counted(ip: IpAddr) {
    let allowed = connect_from(ip).await;
    let allowed_address = allowed.local_addr().expect("its address");
    let policy =
        Policy::new(move |address, used_for| used_for != Use::Accept || address == allowed_address);
    let (sender, mut connections) = mpsc::unbounded_channel();
    let listener = Listener::builder(host())
        .policy(policy.clone())
        .on_connection(move |_, connection| sender.send(connection).expect("waited for"))
        .bind(SocketAddr::new(ip, 0))
        .await
        .expect("a listener");

    // The reset may come before the client looks whether it is connected.
    let refused = async {
        TcpStream::connect(listener.local_addr())
            .await?
            .read_u8()
            .await
    };
    let error = within("a reset", refused).await.expect_err("not allowed");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let peer = within("connected", allowed.connect(listener.local_addr())).await;
    let peer = peer.expect("connected");
    let connection = within("a connection", connections.recv()).await;
    let address = connection.expect("one").peer_addr();
    assert_eq!(address, peer.local_addr().expect("its address"));
    assert_eq!(listener.stats().accepted, 1);
    assert_eq!(policy.refusals().accept, 1);
}

/// On one thread, so that the log is this test's alone.
#[tokio::test]
async fn a_peer_that_is_not_allowed_is_logged() {
    let _open = descriptors::unchanged();
    // Whoever connects can cause such lines.
    let log = Log::with_details();
    let policy = Policy::new(|_, used_for| used_for != Use::Accept);
    let listener = Listener::builder(host())
        .policy(policy)
        .on_connection_async(|_, _| async {})
        .bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))
        .await
        .expect("a listener");
    let mut peer = connect(listener.local_addr()).await;
    wait_for_close(&mut peer).await;
    let said = format!(
        "connection reset: the policy does not allow its peer peer={}",
        peer.local_addr().expect("its address")
    );
    let log = log.text();
    let line = log.lines().find(|line| line.contains(&said));
    assert!(line.is_some_and(|line| line.contains(" DEBUG ")), "{log}");
    // The runtime has one thread, so nothing would be closed after the test has returned.
    listener.close();
    within("it is closed", listener.closed()).await;
}

/// A socket with a port, from which to connect later.
async fn connect_from(ip: IpAddr) -> tokio::net::TcpSocket {
    let socket = match ip {
        IpAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        IpAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    socket.bind(SocketAddr::new(ip, 0)).expect("bound");
    socket
}

async fn an_address_that_is_not_allowed_is_refused_and_counted(ip: IpAddr) {
    let policy = Policy::new(|_, used_for| used_for != Use::Bind);
    let error = Listener::builder(host())
        .policy(policy.clone())
        .bind(SocketAddr::new(ip, 0))
        .await
        .expect_err("it may not be bound");
    assert!(matches!(error, Error::Socket(ErrorCode::AccessDenied)));
    assert_eq!(policy.refusals().bind, 1);
}

/// By default, a socket for IPv6 is for nothing else (`tests/dual_stack.rs`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_socket_takes_both_families_if_it_is_told_to() {
    let _open = descriptors::unchanged();
    if !crate::support::has_ipv6() {
        return;
    }
    let options = options(|options| options.ipv6_only = false);
    let address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    let (listener, mut connections) = listen(address, options).await.expect("a listener");
    let port = listener.local_addr().port();
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let peer = TcpStream::connect(address).await.expect("connected");
    let connection = within("a connection", connections.recv()).await;
    let seen = connection.expect("one").peer_addr();
    let expected = peer.local_addr().expect("its address");
    assert_eq!(seen.ip().to_canonical(), expected.ip());
    assert_eq!(
        (seen.is_ipv6(), seen.port()),
        (true, expected.port()),
        "in the notation of IPv6"
    );
}

/// Linux's first packet with data: the server has it before the handshake is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_may_come_with_the_first_packet() {
    let _open = descriptors::unchanged();
    let options = options(|options| options.fast_open = Some(16));
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let (listener, mut connections) = listen(address, options).await.expect("a listener");
    let mut peer = connect(listener.local_addr()).await;
    peer.write_all(b"x").await.expect("sent");
    let connection = within("a connection", connections.recv()).await;
    let byte = connection.expect("one").read_u8().await;
    assert_eq!(byte.expect("its byte"), b'x');
}
