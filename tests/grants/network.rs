//! Connections that a service makes, and names that it has resolved.

use super::{answer, start};
use crate::support::descriptors::unchanged;
use crate::support::{has_ipv6, within};
use evconn::Grants;
use evconn::sockets::{Policy, Resolver, Use};
use futures_util::future::BoxFuture;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// A server that answers each line with `you said LINE`, for as long as it is not dropped.
struct Upstream {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Upstream {
    async fn start(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("bound");
        let address = listener.local_addr().expect("its address");
        let task: JoinHandle<()> = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut line = String::new();
                let (reader, mut writer) = stream.split();
                let mut reader = BufReader::new(reader);
                reader.read_line(&mut line).await.expect("a line");
                let answer = format!("you said {line}");
                writer.write_all(answer.as_bytes()).await.expect("sent");
            }
        });
        Self {
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

/// One that nobody may reach.
struct OutOfReach(std::net::TcpListener);

impl OutOfReach {
    fn start(ip: &str) -> Self {
        let listener = std::net::TcpListener::bind((ip, 0)).expect("bound");
        listener.set_nonblocking(true).expect("nonblocking");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("its address").port()
    }

    /// A connection to a loopback address would have arrived by now.
    fn has_seen_nobody(self) {
        let error = self.0.accept().expect_err("nobody has connected");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

fn to(host: &str, port: u16) -> evconn::GrantsBuilder {
    let destination = format!("{host}:{port}").parse().expect("a destination");
    Grants::builder().connect(destination)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_granted_can_be_connected_to() {
    let _open = unchanged();
    let upstream = Upstream::start(super::LOCALHOST).await;
    let port = upstream.port();
    let server = start(to("127.0.0.1", port)).await;
    let command = format!("connect 127.0.0.1 {port} hello");
    assert_eq!(answer(&server, &command).await, "you said hello\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_can_one_of_ipv6() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let upstream = Upstream::start(Ipv6Addr::LOCALHOST.into()).await;
    let port = upstream.port();
    let server = start(to("[::1]", port)).await;
    let command = format!("connect ::1 {port} hello");
    assert_eq!(answer(&server, &command).await, "you said hello\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_address_and_no_other_port_can() {
    let _open = unchanged();
    let (out_of_reach, other_port) = (
        OutOfReach::start("127.0.0.2"),
        OutOfReach::start("127.0.0.1"),
    );
    let port = out_of_reach.port();
    let server = start(to("127.0.0.1", port)).await;
    for (ip, port) in [("127.0.0.2", port), ("127.0.0.1", other_port.port())] {
        let command = format!("connect {ip} {port} hello");
        assert_eq!(answer(&server, &command).await, "access-denied\n");
    }
    server.stop().await;
    out_of_reach.has_seen_nobody();
    other_port.has_seen_nobody();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_granted_is_resolved_and_connected_to() {
    let _open = unchanged();
    let upstream = Upstream::start(super::LOCALHOST).await;
    let port = upstream.port();
    let server = start(to("localhost", port)).await;
    let addresses = answer(&server, "resolve localhost").await;
    assert!(addresses.contains("127.0.0.1"), "{addresses}");
    // However it is written.
    assert_eq!(answer(&server, "resolve LocalHost.").await, addresses);
    let command = format!("connect localhost {port} hello");
    assert_eq!(answer(&server, &command).await, "you said hello\n");
    server.stop().await;
}

/// Knows one name, which the operating system does not.
#[derive(Debug)]
struct OneName;

impl Resolver for OneName {
    fn resolve(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            match name.as_str() {
                "service.invalid" => Ok(vec![super::LOCALHOST]),
                _ => Err(ErrorKind::NotFound.into()),
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_resolved_by_the_hosts_own_resolver() {
    let _open = unchanged();
    let upstream = Upstream::start(super::LOCALHOST).await;
    let port = upstream.port();
    let grants = to("service.invalid", port)
        .connect("localhost:80".parse().expect("a destination"))
        .resolver(Arc::new(OneName));
    let server = start(grants).await;
    let connect = format!("connect 127.0.0.1 {port} hello");
    // The host looks the name up when the guest connects, and when it asks.
    assert_eq!(answer(&server, &connect).await, "you said hello\n");
    for (name, resolved) in [
        ("service.invalid", "127.0.0.1\n"),
        ("localhost", "name-unresolvable\n"),
        // It was not granted, whatever the resolver knows.
        ("other.invalid", "permanent-resolver-failure\n"),
    ] {
        let answered = answer(&server, &format!("resolve {name}")).await;
        assert_eq!(answered, resolved, "{name}");
    }
    assert!(server.stop().await.is_clean());
}

/// The name has not been looked up before: the host does so when the guest connects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_granted_grants_its_addresses() {
    let _open = unchanged();
    let upstream = Upstream::start(super::LOCALHOST).await;
    let (port, out_of_reach) = (upstream.port(), OutOfReach::start("127.0.0.2"));
    let grants = to("localhost", port).connect(
        format!("localhost:{}", out_of_reach.port())
            .parse()
            .expect("a destination"),
    );
    let server = start(grants).await;
    let denied = format!("connect 127.0.0.2 {} hello", out_of_reach.port());
    let granted = format!("connect 127.0.0.1 {port} hello");
    assert_eq!(answer(&server, &denied).await, "access-denied\n");
    assert_eq!(answer(&server, &granted).await, "you said hello\n");
    assert_eq!(answer(&server, &denied).await, "access-denied\n");
    server.stop().await;
    out_of_reach.has_seen_nobody();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_to_connect_waits_for_the_look_up() {
    let _open = unchanged();
    let upstream = Upstream::start(super::LOCALHOST).await;
    let port = upstream.port();
    let server = start(to("localhost", port)).await;
    let command = format!("connect 127.0.0.1 {port} hello");
    assert_eq!(answer(&server, &command).await, "you said hello\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_name_is_resolved() {
    let _open = unchanged();
    let server = start(to("localhost", 1)).await;
    for (name, expected) in [
        ("example.com", "permanent-resolver-failure\n"),
        ("sub.localhost", "permanent-resolver-failure\n"),
        ("local", "permanent-resolver-failure\n"),
        // Not a name: nobody is asked.
        ("192.0.2.1", "192.0.2.1\n"),
        ("::1", "::1\n"),
        ("no name", "invalid-argument\n"),
        ("", "invalid-argument\n"),
    ] {
        let command = format!("resolve {name}");
        assert_eq!(answer(&server, &command).await, expected, "{name:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_exist_says_so() {
    let _open = unchanged();
    let server = start(to("nothing.invalid", 80)).await;
    for command in [
        "resolve nothing.invalid",
        "connect nothing.invalid 80 hello",
    ] {
        let answer = within("an answer", answer(&server, command)).await;
        assert_eq!(answer, "name-unresolvable\n");
    }
    let answer = answer(&server, "connect 192.0.2.1 80 hello").await;
    assert_eq!(answer, "access-denied\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_no_denial() {
    let _open = unchanged();
    // Bound, and not listening: nobody else gets the port.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let localhost = SocketAddr::new(super::LOCALHOST, 0);
    socket.bind(&localhost.into()).expect("bound");
    let address = socket.local_addr().expect("its address");
    let port = address.as_socket().expect("an address").port();
    for host in ["127.0.0.1", "localhost"] {
        let server = start(to(host, port)).await;
        let command = format!("connect 127.0.0.1 {port} hello");
        assert_eq!(answer(&server, &command).await, "connection-refused\n");
        server.stop().await;
    }
}

/// A custom policy is added to the destinations, and asked about what they do not cover.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_grants_more() {
    let _open = unchanged();
    let by_rule = Upstream::start(super::LOCALHOST).await;
    let by_name = Upstream::start(super::LOCALHOST).await;
    let out_of_reach = OutOfReach::start("127.0.0.1");
    let allowed = by_rule.address;
    let policy =
        Policy::new(move |address, used_for| used_for == Use::Connect && address == allowed);
    let server = start(to("localhost", by_name.port()).policy(policy.clone())).await;
    for (port, expected) in [
        (by_rule.port(), "you said hello\n"),
        (by_name.port(), "you said hello\n"),
        (out_of_reach.port(), "access-denied\n"),
    ] {
        let command = format!("connect 127.0.0.1 {port} hello");
        assert_eq!(answer(&server, &command).await, expected);
    }
    server.stop().await;
    assert_eq!(policy.refusals().connect, 1);
    out_of_reach.has_seen_nobody();
}
