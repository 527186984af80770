//! Each limit, with a guest or a peer that exceeds it: only that connection ends, with its cause in the
//! log.

use super::Running;
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{TEST_GUEST, ask, exchange, is_reset, read_line, wait_for_close, within};
use evconn::{Host, Limits, Served, Server, Service};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// While one connection, which begins with `command`, is ended for `why`, another goes on.
async fn ends_alone(limits: Limits, command: &str, why: &str) -> Served {
    let log = Log::start();
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut other = server.connect().await;
    assert_eq!(ask(&mut other, "echo\nhello\n").await, "hello\n");
    let mut victim = server.connect().await;
    victim.write_all(command.as_bytes()).await.expect("sent");
    ends_in_reset(&mut victim).await;
    assert_eq!(ask(&mut other, "still here\n").await, "still here\n");
    drop(other);
    let served = server.stop().await;
    is_told(&log, why);
    served
}

/// A connection that ends with its cause in the log, though nothing was served yet.
async fn nobody_is_served(limits: Limits, why: &str) {
    let log = Log::start();
    let server = Running::start(|builder| builder.limits(limits)).await;
    is_refused(TcpStream::connect(server.address)).await;
    assert_eq!(server.stop().await.failed, 1);
    is_told(&log, why);
}

/// Its peer knows that it did not get all.
async fn ends_in_reset(peer: &mut TcpStream) {
    let end = within("the connection ends", async {
        let mut buffer = [0; 4096];
        loop {
            match peer.read(&mut buffer).await {
                Ok(count) if count > 0 => {}
                end => return end,
            }
        }
    });
    let error = end.await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn is_told(log: &Log, why: &str) {
    let text = log.text();
    let lines: Vec<_> = text.lines().filter(|l| l.contains(why)).collect();
    assert_eq!(lines.len(), 1, "{why}: {text}");
    assert!(lines[0].contains("peer=127.0.0.1:"), "{text}");
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[tokio::test]
async fn max_memory() {
    let _open = unchanged();
    let limits = Limits {
        max_memory: 8 << 20,
        ..Limits::default()
    };
    let why = "after it was refused more memory than its limit";
    let served = ends_alone(limits, "grow 16000000\n", why).await;
    assert_eq!(served.failed, 1);
}

#[tokio::test]
async fn max_memory_that_is_less_than_it_begins_with() {
    let _open = unchanged();
    let limits = Limits {
        max_memory: 4096,
        ..Limits::default()
    };
    nobody_is_served(limits, "refused more memory").await;
}

#[tokio::test]
async fn max_table_elements() {
    let _open = unchanged();
    let limits = Limits {
        max_table_elements: 1,
        ..Limits::default()
    };
    nobody_is_served(limits, "refused more table elements").await;
}

#[tokio::test]
async fn max_core_instances() {
    let _open = unchanged();
    let limits = Limits {
        max_core_instances: 1,
        ..Limits::default()
    };
    nobody_is_served(limits, "instance count too high").await;
}

#[tokio::test]
async fn max_handles() {
    let _open = unchanged();
    let limits = Limits {
        max_handles: 16,
        ..Limits::default()
    };
    let why = "its service has more than 16 handles";
    let served = ends_alone(limits, "hold 100\n", why).await;
    assert_eq!(served.failed, 1);
}

#[tokio::test]
async fn as_many_handles_as_it_may_have() {
    let _open = unchanged();
    let limits = Limits {
        max_handles: 16,
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    // The connection has three, and each pollable of a clock takes one.
    let answer = exchange(server.connect().await, b"hold 12\n").await;
    assert_eq!(answer, b"held\n");
    server.stop().await;
}

#[tokio::test]
async fn timeout_of_a_connection_that_is_busy() {
    let _open = unchanged();
    let log = Log::start();
    let limits = Limits {
        timeout: Some(millis(300)),
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut peer = server.connect().await;
    peer.write_all(b"echo\n").await.expect("sent");
    let error = within("the connection ends", async {
        loop {
            let mut byte = [0];
            if let Err(error) = peer.write_all(b"x").await {
                return error;
            }
            if let Err(error) = peer.read_exact(&mut byte).await {
                return error;
            }
        }
    })
    .await;
    assert!(is_reset(&error), "{error}");
    assert_eq!(server.stop().await.timed_out, 1);
    is_told(&log, "ended: it has lasted for 300ms");
}

#[tokio::test]
async fn idle_timeout_of_a_peer_that_says_nothing() {
    let _open = unchanged();
    let log = Log::start();
    let limits = Limits {
        idle_timeout: Some(millis(200)),
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut peer = server.connect().await;
    ends_in_reset(&mut peer).await;
    assert_eq!(server.stop().await.timed_out, 1);
    is_told(&log, "ended: no byte either way for 200ms");
}

/// The service writes until its peer reads no more.
#[tokio::test]
async fn idle_timeout_of_a_peer_that_never_reads() {
    let _open = unchanged();
    let log = Log::start();
    let limits = Limits {
        idle_timeout: Some(millis(500)),
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut peer = server.connect().await;
    peer.write_all(b"pour\n").await.expect("sent");
    let handle = server.handle.clone();
    super::eventually("it ends", async || handle.served().timed_out == 1).await;
    is_told(&log, "no byte either way");
    server.stop().await;
}

/// One byte each time that half of the limit is over. It lasts for several times the limit.
#[tokio::test]
async fn idle_timeout_does_not_end_a_slow_peer() {
    let _open = unchanged();
    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(2)),
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut peer = server.connect().await;
    peer.write_all(b"echo\n").await.expect("sent");
    for _ in 0..6 {
        tokio::time::sleep(millis(500)).await;
        assert_eq!(ask(&mut peer, "\n").await, "\n");
    }
    drop(peer);
    assert_eq!(server.stop().await.timed_out, 0);
}

#[tokio::test]
async fn cpu_timeout() {
    let _open = unchanged();
    let limits = Limits {
        cpu_timeout: Some(millis(100)),
        ..Limits::default()
    };
    let why = "its service has computed for more than 100ms";
    let served = ends_alone(limits, "spin\n", why).await;
    assert_eq!(served.failed, 1);
}

#[tokio::test]
async fn waiting_is_no_computing() {
    let _open = unchanged();
    let limits = Limits {
        cpu_timeout: Some(millis(200)),
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    // Its guest waits by the clock, and then for its peer.
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "wait 500\n").await, "waited\n");
    drop(peer);
    let served = server.stop().await;
    assert_eq!((served.failed, served.timed_out), (0, 0));
}

#[tokio::test]
async fn endless_recursion() {
    let _open = unchanged();
    let served = ends_alone(Limits::default(), "recurse\n", "connection failed: ").await;
    assert_eq!(served.failed, 1);
}

#[tokio::test]
async fn a_guest_that_never_reads_is_no_matter_to_others() {
    let _open = unchanged();
    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(1)),
        ..Limits::default()
    };
    let log = Log::start();
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "ignore\n").await, "ignoring\n");
    let mut buffer = vec![b'x'; 1 << 20];
    let error = within("nobody takes it, and then it is reset", async {
        loop {
            if let Err(error) = peer.write_all(&buffer).await {
                return error;
            }
            buffer.rotate_left(1);
        }
    });
    let other = async {
        let mut other = server.connect().await;
        assert_eq!(ask(&mut other, "echo\nhello\n").await, "hello\n");
    };
    let (error, ()) = tokio::join!(error, other);
    assert!(is_reset(&error), "{error}");
    server.stop().await;
    is_told(&log, "no byte either way");
}

/// It is accepted, and its guest finds that its peer is gone.
#[tokio::test]
async fn peers_that_reset_or_go_away_are_no_matter_to_others() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut other = server.connect().await;
    assert_eq!(ask(&mut other, "echo\nhello\n").await, "hello\n");
    for _ in 0..20 {
        drop(server.connect().await);
        crate::support::reset(server.connect().await);
        let mut peer = server.connect().await;
        peer.write_all(b"echo\nhello\n").await.expect("sent");
        crate::support::reset(peer);
    }
    assert_eq!(ask(&mut other, "still here\n").await, "still here\n");
    drop(other);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn max_connections_per_peer() {
    let _open = unchanged();
    let log = Log::start();
    let limits = Limits {
        max_connections_per_peer: Some(2),
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut first = server.connect().await;
    assert_eq!(ask(&mut first, "echo\nhello\n").await, "hello\n");
    let mut second = server.connect().await;
    assert_eq!(ask(&mut second, "echo\nhello\n").await, "hello\n");
    is_refused(TcpStream::connect(server.address)).await;
    is_told(&log, "refused: its peer has 2 connections already");
    // Another address has connections of its own.
    let mut other = from("127.0.0.2", server.address).await;
    assert_eq!(ask(&mut other, "echo\nhello\n").await, "hello\n");
    drop(first);
    let handle = server.handle.clone();
    super::eventually("the first is gone", async || handle.open() == 2).await;
    let mut fourth = server.connect().await;
    fourth.write_all(b"echo\nhello\n").await.expect("sent");
    assert_eq!(within("an answer", read_line(&mut fourth)).await, "hello\n");
    drop((second, fourth, other));
    let served = server.stop().await;
    assert_eq!((served.connections, served.refused), (5, 1));
}

/// A connection from this address of the loopback network.
pub async fn from(ip: &str, to: std::net::SocketAddr) -> TcpStream {
    within("connecting", connect_from(ip, to))
        .await
        .expect("connected")
}

/// An attempt at one.
pub async fn connect_from(ip: &str, to: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(std::net::SocketAddr::new(ip.parse().expect("an IP"), 0))?;
    socket.connect(to).await
}

/// It is reset: before the peer knows that it is connected, or after that.
pub async fn is_refused(connecting: impl Future<Output = std::io::Result<TcpStream>>) {
    let end = async { connecting.await?.read(&mut [0]).await };
    let error = within("the end", end).await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn ten_at_a_time_of_fifty_that_come_at_once() {
    let _open = unchanged();
    let limits = Limits {
        max_connections: 10,
        ..Limits::default()
    };
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut clients = Vec::new();
    for number in 0..50 {
        let mut stream = server.connect().await;
        let handle = server.handle.clone();
        clients.push(tokio::spawn(async move {
            let line = format!("client {number}\n");
            stream.write_all(b"echo\n").await.expect("sent");
            assert_eq!(ask(&mut stream, &line).await, line);
            let open = handle.open();
            stream.shutdown().await.expect("ended");
            wait_for_close(&mut stream).await;
            open
        }));
    }
    for client in clients {
        let open = client.await.expect("it was served");
        assert!((1..=10).contains(&open), "{open} at once");
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.is_clean()), (50, true));
}

/// An embedder says them once.
#[tokio::test]
async fn those_of_the_host_are_those_of_its_servers() {
    let _open = unchanged();
    let limits = Limits {
        max_connections: 1,
        timeout: Some(Duration::from_millis(50)),
        ..Limits::default()
    };
    let host = Host::builder().limits(&limits).build().expect("a host");
    assert_eq!(*host.limits(), limits);
    let service = Service::new(&host, TEST_GUEST).expect("a service");
    let builder = Server::builder(&service).listen("127.0.0.1:0".parse().expect("a source"));
    let server = Running::run(builder, |shutdown| shutdown).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(b"echo\nhello\n").await.expect("sent");
    ends_in_reset(&mut first).await;
    assert_eq!(read_line(&mut second).await, "hello\n");
    ends_in_reset(&mut second).await;
    assert_eq!(server.stop().await.timed_out, 2);
}
