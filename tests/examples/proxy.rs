//! `proxy`: bytes in both directions, and the end of each.

use super::{expect, send, start};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::{
    DEADLINE, Server, connect, exchange, host, reset, until_reset, wait_for_close, within,
};
use evconn::{Grants, Limits, Service};
use rustix::process::Signal;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The component's file.
const FILE: &str = evconn_artifacts::PROXY_PATH;

const PROXY: &[u8] = evconn_artifacts::PROXY;

/// The proxy, which is told to connect there, and may if that is a server's address.
async fn proxy_to(upstream: &str) -> Server {
    let mut grants = Grants::builder().arg(upstream);
    if let Ok(destination) = upstream.parse() {
        grants = grants.connect(destination);
    }
    serve(grants.build().expect("grants")).await
}

async fn serve(grants: Grants) -> Server {
    let service = Service::new(host(), PROXY).expect("a service");
    let service = service.with_grants(grants);
    let ip = Ipv4Addr::LOCALHOST.into();
    Server::start_service(ip, service, Limits::default(), DEADLINE).await
}

/// A server to connect to, and the proxy before it.
async fn proxied() -> (TcpListener, Server) {
    let upstream = listen().await;
    let address = upstream.local_addr().expect("an address");
    (upstream, proxy_to(&address.to_string()).await)
}

async fn listen() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listener.expect("a listener")
}

async fn accept(upstream: &TcpListener) -> TcpStream {
    let accepted = within("the proxy connects", upstream.accept()).await;
    accepted.expect("accepted").0
}

/// Both ends of a connection through the proxy.
async fn pair(upstream: &TcpListener, proxy: &Server) -> (TcpStream, TcpStream) {
    (proxy.connect().await, accept(upstream).await)
}

async fn end(stream: &mut TcpStream) {
    stream.shutdown().await.expect("ended");
}

async fn expect_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let count = within("the end", stream.read_to_end(&mut rest)).await;
    assert_eq!(count.expect("a regular end"), 0, "{rest:?}");
}

/// What `proxy` does with a connection: it resets it without a byte, and says that it failed.
async fn expect_failure(proxy: Server) {
    assert_eq!(until_reset(proxy.address, b"hello").await, b"");
    let served = proxy.stop().await;
    assert_eq!((served.connections, served.failed), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_argument_it_gives_up() {
    let _open = unchanged();
    expect_failure(start(PROXY).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways() {
    let _open = unchanged();
    let (upstream, proxy) = proxied().await;
    let (mut client, mut server) = pair(&upstream, &proxy).await;
    for _ in 0..100 {
        send(&mut client, b"question").await;
        expect(&mut server, b"question").await;
        send(&mut server, b"answer").await;
        expect(&mut client, b"answer").await;
    }
    drop((client, server));
    assert_eq!(proxy.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_side_may_end_before_the_other() {
    let _open = unchanged();
    let (upstream, proxy) = proxied().await;
    for _ in 0..2 {
        let (mut client, mut server) = pair(&upstream, &proxy).await;
        end(&mut client).await;
        expect_end(&mut server).await;
        send(&mut server, b"still here").await;
        expect(&mut client, b"still here").await;
        end(&mut server).await;
        expect_end(&mut client).await;

        let (mut client, mut server) = pair(&upstream, &proxy).await;
        end(&mut server).await;
        expect_end(&mut client).await;
        send(&mut client, b"still here").await;
        expect(&mut server, b"still here").await;
        end(&mut client).await;
        expect_end(&mut server).await;
    }
    assert_eq!(proxy.stop().await.failed, 0);
}

/// More bytes than all buffers hold, in both directions at once, to peers that read late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_goes_both_ways_at_once() {
    let _open = unchanged();
    let (upstream, proxy) = proxied().await;
    let (client, server) = pair(&upstream, &proxy).await;
    let pattern = |step: usize| -> Vec<u8> {
        let bytes = (0..24 << 20).map(|i: usize| (i * step + i / 251) as u8);
        bytes.collect()
    };
    let (upward, downward) = (pattern(31), pattern(37));
    let (at_client, at_server) =
        tokio::join!(exchange(client, &upward), exchange(server, &downward));
    assert!(at_server == upward, "what the server got has changed");
    assert!(at_client == downward, "what the client got has changed");
    assert_eq!(proxy.stop().await.failed, 0);
}

/// A direction that is blocked does not block the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_may_still_send() {
    let _open = unchanged();
    let (upstream, proxy) = proxied().await;
    let (client, mut server) = pair(&upstream, &proxy).await;
    let (mut reader, mut writer) = client.into_split();
    let sending = tokio::spawn(async move {
        let sent = vec![b'x'; 32 << 20];
        writer.write_all(&sent).await.expect("sent");
        writer.shutdown().await.expect("ended");
        sent.len()
    });
    for number in 0..100 {
        send(&mut server, &[number]).await;
        let received = within("a byte", reader.read_u8()).await;
        assert_eq!(received.expect("received"), number);
    }
    assert!(!sending.is_finished(), "it is held up");
    end(&mut server).await;
    let mut received = Vec::new();
    within("the rest", server.read_to_end(&mut received))
        .await
        .expect("received");
    assert_eq!(received.len(), sending.await.expect("no panic"));
    drop(reader);
    assert_eq!(proxy.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_on_one_side_ends_the_other() {
    let _open = unchanged();
    let (upstream, proxy) = proxied().await;
    let (mut client, server) = pair(&upstream, &proxy).await;
    reset(server);
    wait_for_close(&mut client).await;
    let (client, mut server) = pair(&upstream, &proxy).await;
    reset(client);
    wait_for_close(&mut server).await;
    let served = proxy.stop().await;
    assert_eq!((served.failed, served.peer_gone), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_ends_the_client() {
    let _open = unchanged();
    let upstream = listen().await;
    let address = upstream.local_addr().expect("an address");
    drop(upstream);
    expect_failure(proxy_to(&address.to_string()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_server_ends_the_client() {
    let _open = unchanged();
    for not_a_server in [
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:65536",
    ] {
        expect_failure(proxy_to(not_a_server).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_granted_ends_the_client() {
    let _open = unchanged();
    let upstream = listen().await;
    let port = upstream.local_addr().expect("an address").port();
    for host in ["127.0.0.1", "localhost"] {
        let grants = Grants::builder().arg(format!("{host}:{port}"));
        let elsewhere = "127.0.0.2:1".parse().expect("a destination");
        let grants = grants.connect(elsewhere).build().expect("grants");
        expect_failure(serve(grants).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_have_a_name() {
    let _open = unchanged();
    let upstream = listen().await;
    let port = upstream.local_addr().expect("an address").port();
    // Where it is an address of IPv6 as well, that one refuses and is tried before or after.
    let proxy = proxy_to(&format!("localhost:{port}")).await;
    let (mut client, mut server) = pair(&upstream, &proxy).await;
    send(&mut client, b"hello").await;
    expect(&mut server, b"hello").await;
    drop((client, server));
    assert_eq!(proxy.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_be_an_address_of_ipv6() {
    let _open = unchanged();
    if !crate::support::has_ipv6() {
        return;
    }
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await;
    let upstream = listener.expect("a listener");
    let address: SocketAddr = upstream.local_addr().expect("an address");
    let proxy = proxy_to(&address.to_string()).await;
    let mut client = connect(proxy.address).await;
    let mut server = accept(&upstream).await;
    send(&mut client, b"hello").await;
    expect(&mut server, b"hello").await;
    drop((client, server));
    assert_eq!(proxy.stop().await.failed, 0);
}

/// What `evconn serve` logs of one connection, with these flags.
async fn logged(flags: &[&str]) -> String {
    let evconn = Evconn::start(&[&["serve", FILE, "--listen", "127.0.0.1:0"], flags].concat());
    assert_eq!(until_reset(evconn.address(), b"").await, b"");
    evconn.signal(Signal::TERM);
    evconn.wait().stderr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_why_it_gave_up() {
    let _open = unchanged();
    let upstream = listen().await;
    let address = upstream.local_addr().expect("an address").to_string();
    drop(upstream);
    for (flags, why) in [
        (
            &[][..],
            "it takes one argument, the server to connect to: HOST:PORT".to_owned(),
        ),
        (
            &["--arg", "server"],
            "\\\"server\\\": it is not HOST:PORT".to_owned(),
        ),
        (
            &["--arg", &address, "--allow-connect", &address],
            format!("{address}\\\": 127.0.0.1 cannot be connected to: connection-refused"),
        ),
        (
            &["--arg", &address, "--allow-connect", "127.0.0.1:1"],
            format!("{address}\\\": 127.0.0.1 cannot be connected to: access-denied"),
        ),
        (
            &["--arg", "a.invalid:80", "--allow-connect", "b.invalid:80"],
            "a.invalid:80\\\": its name cannot be looked up: permanent-resolver-failure".to_owned(),
        ),
        (
            &["--arg", "a.invalid:80", "--allow-connect", "a.invalid:80"],
            "a.invalid:80\\\": its name cannot be looked up: ".to_owned(),
        ),
    ] {
        let log = logged(flags).await;
        assert!(log.contains(&why), "{why}:\n{log}");
    }
}
