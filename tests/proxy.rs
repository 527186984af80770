//! The PROXY protocol, with a real proxy and with malformed headers.

use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::tool::Tool;
use crate::support::{
    DEADLINE, Server, TEST_GUEST, connect, exchange, host, is_turned_away, listen, within,
};
use evconn::{Ingress, Limits, ProxyProtocol, Service, TrustedProxies};
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn ingress(network: &str) -> Ingress {
    let trusted = TrustedProxies::none().network(network).expect("a network");
    Ingress::new().proxy_protocol(ProxyProtocol::new(trusted))
}

async fn serve(ingress: Ingress) -> Server {
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let ip = Ipv4Addr::LOCALHOST.into();
    Server::start_service(
        ip,
        service.with_ingress(ingress),
        Limits::default(),
        DEADLINE,
    )
    .await
}

/// What the guest says of its peer when this is sent before its first line.
async fn peer_after(header: &[u8]) -> (String, SocketAddr) {
    let server = serve(ingress("127.0.0.0/8")).await;
    let stream = server.connect().await;
    let own = stream.local_addr().expect("an address");
    let answer = exchange(stream, &[header, b"peer\n"].concat()).await;
    let served = server.stop().await;
    assert_eq!((served.refused, served.failed), (0, 0));
    (String::from_utf8(answer).expect("text"), own)
}

/// The guest's words for an address of IPv4.
fn told(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("an address of IPv4");
    };
    let [a, b, c, d] = address.ip().octets();
    let port = address.port();
    let told = format!("Ipv4(Ipv4SocketAddress {{ port: {port}, address: ({a}, {b}, {c}, {d}) }})");
    format!("IpSocketAddress::{told} Ok(IpSocketAddress::{told})\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guest_is_told_the_announced_address() {
    let _open = unchanged();
    let announced = "192.0.2.1:8080".parse().expect("an address");
    let (said, _) = peer_after(b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n").await;
    assert_eq!(said, told(announced));
    let v2 = [
        V2,
        b"\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x1f\x90\0\x50",
    ]
    .concat();
    let (said, _) = peer_after(&v2).await;
    assert_eq!(said, told(announced));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_announced_address_the_guest_is_told_the_real_one() {
    let _open = unchanged();
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN caf\xe9 \xff\r\n"] {
        let (said, own) = peer_after(header).await;
        assert_eq!(said, told(own));
    }
    let (said, own) = peer_after(&[V2, b"\x20\0\0\0"].concat()).await;
    assert_eq!(said, told(own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_is_not_right_is_refused() {
    let _open = unchanged();
    let server = serve(ingress("127.0.0.0/8")).await;
    let long = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
    let wrong: [&[u8]; 5] = [
        // Truncated, too long, of no known version, malformed, none.
        b"PROXY TCP4 192.0.2.1 19",
        &long,
        &[V2, b"\x31\x11\xff\xff"].concat(),
        b"PROXY TCP4 192.0.2.1 nowhere 8080 80\r\npeer\n",
        b"peer\n",
    ];
    for header in wrong {
        let mut stream = server.connect().await;
        // It may be refused before all of it is sent.
        let _ = stream.write_all(header).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        // The end may be a reset: there are bytes that nobody has read.
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.refused), (5, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_does_not_come_is_given_up() {
    let _open = unchanged();
    let trusted = TrustedProxies::none().network("127.0.0.1").expect("one");
    let proxy = ProxyProtocol::new(trusted).timeout(Duration::from_millis(50));
    let server = serve(Ingress::new().proxy_protocol(proxy)).await;
    is_turned_away(server.address).await;
    assert_eq!(server.stop().await.refused, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_callback_gets_the_announced_address() {
    let _open = unchanged();
    let listener = listen(Ipv4Addr::LOCALHOST.into()).await;
    let (sender, mut peers) = tokio::sync::mpsc::unbounded_channel();
    let ingress = ingress("127.0.0.0/8");
    listener.set_async_callback(move |_listener, connection| {
        let (ingress, sender) = (ingress.clone(), sender.clone());
        async move {
            let connection = ingress.accept(connection).await;
            let _ = sender.send(connection.map(|connection| connection.peer_addr()));
        }
    });
    let mut stream = connect(listener.local_addr()).await;
    let header = b"PROXY TCP6 2001:db8::1 2001:db8::2 8080 80\r\n";
    stream.write_all(header).await.expect("sent");
    let peer = within("a peer", peers.recv()).await.expect("a peer");
    let announced = "[2001:db8::1]:8080".parse().expect("an address");
    assert_eq!(peer.expect("accepted"), announced);
}

#[tokio::test]
async fn the_command_refuses_who_is_not_trusted_and_says_so() {
    let _open = unchanged();
    let flags = ["echo", "0", "--address", "127.0.0.1", "--proxy-protocol"];
    let from = [
        "--proxy-from",
        "192.0.2.0/24",
        "--proxy-from",
        "2001:db8::/32",
    ];
    let evconn = Evconn::start(&[&flags[..], &from].concat());
    is_turned_away(evconn.address()).await;
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    let cause = "connection refused: PROXY protocol: it does not come from a trusted proxy";
    assert!(log.contains(cause), "{log}");
}

#[test]
fn flags_that_lack_another_are_a_mistake_of_usage() {
    let _open = unchanged();
    for (flags, hint) in [
        (&["--proxy-protocol"][..], "--proxy-from"),
        (&["--proxy-from", "10.0.0.0/8"], "--proxy-protocol"),
        (
            &["--proxy-protocol", "--proxy-from", "everyone"],
            "10.0.0.0/8",
        ),
    ] {
        let ended = Evconn::run(&[&["echo", "0"], flags].concat());
        assert_eq!(ended.status.code(), Some(2), "{flags:?}");
        assert_eq!(ended.stdout, "", "{flags:?}");
        assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_announces_its_clients() {
    let _open = unchanged();
    for option in ["send-proxy", "send-proxy-v2"] {
        through_haproxy(ingress("127.0.0.0/8"), option).await;
    }
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_announces_its_clients_before_it_encrypts() {
    let _open = unchanged();
    let certificate = crate::support::certificate::Certificate::new();
    let tls = evconn::TlsConfig::from_files(certificate.cert(), certificate.key());
    let ingress = ingress("127.0.0.0/8").tls(tls.expect("usable"));
    let cert = certificate.cert();
    let option =
        format!("send-proxy-v2 ssl ca-file {cert} sni str(localhost) verifyhost localhost");
    through_haproxy(ingress, &option).await;
}

/// The guest is told the address of haproxy's client.
async fn through_haproxy(ingress: Ingress, option: &str) {
    let server = serve(ingress).await;
    if let Some((_haproxy, address)) = Haproxy::start(server.address, option) {
        let stream = connect(address).await;
        let own = stream.local_addr().expect("an address");
        let answer = exchange(stream, b"peer\n").await;
        assert_eq!(String::from_utf8_lossy(&answer), told(own), "{option}");
    }
    server.stop().await;
}

/// A running haproxy, with its configuration.
struct Haproxy {
    _tool: Tool,
    configuration: PathBuf,
}

impl Haproxy {
    /// Its standard input is the socket that it listens on: so the port is free.
    fn start(server: SocketAddr, option: &str) -> Option<(Self, SocketAddr)> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let name = format!("haproxy-{}-{}.cfg", std::process::id(), address.port());
        let configuration = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let text = format!(
            "defaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n\
             listen test\n bind fd@0\n server evconn {server} {option}\n"
        );
        std::fs::write(&configuration, text).expect("written");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&configuration);
        command
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let tool = Tool::start(&mut command);
        // The command holds the socket until here.
        drop(command);
        let haproxy = Self {
            _tool: match tool {
                Some(tool) => tool,
                None => {
                    let _ = std::fs::remove_file(&configuration);
                    return None;
                }
            },
            configuration,
        };
        Some((haproxy, address))
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.configuration);
    }
}
