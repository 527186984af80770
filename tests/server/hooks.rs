//! What an embedder is told of each connection.

use super::peers::{announced, behind_a_proxy, start_at};
use super::{Running, eventually};
use crate::support::descriptors::unchanged;
use crate::support::{ask, exchange, is_turned_away, reset, wait_for_close, within};
use evconn::sockets::Peer;
use evconn::{ConnectionEnd, ConnectionInfo, EndCause, Limits, ServerBuilder};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What was told, in order.
struct Told(UnboundedReceiver<(ConnectionInfo, Option<ConnectionEnd>)>);

impl Told {
    fn new() -> (Self, impl FnOnce(ServerBuilder) -> ServerBuilder) {
        let (sender, told) = unbounded_channel();
        (Self(told), |builder| hooked(builder, sender))
    }

    async fn begin(&mut self) -> ConnectionInfo {
        let (info, end) = self.next().await;
        assert!(end.is_none(), "{end:?}");
        info
    }

    async fn end(&mut self) -> (ConnectionInfo, ConnectionEnd) {
        let (info, end) = self.next().await;
        (info, end.expect("an end"))
    }

    async fn next(&mut self) -> (ConnectionInfo, Option<ConnectionEnd>) {
        let told = within("something is told", self.0.recv()).await;
        told.expect("the server has its hooks")
    }
}

fn hooked(
    builder: ServerBuilder,
    sender: UnboundedSender<(ConnectionInfo, Option<ConnectionEnd>)>,
) -> ServerBuilder {
    let of_begin = sender.clone();
    builder
        .on_begin(move |info| drop(of_begin.send((info.clone(), None))))
        .on_end(move |info, end| drop(sender.send((info.clone(), Some(*end)))))
}

fn address(peer: &Peer) -> SocketAddr {
    match peer {
        Peer::Address(address) => *address,
        Peer::Unix(_) => panic!("it is TCP"),
    }
}

#[tokio::test]
async fn the_begin_and_the_end_are_told_with_figures() {
    let _open = unchanged();
    let (mut told, hook) = Told::new();
    let server = Running::start(hook).await;
    for number in 1..=2 {
        let mut peer = server.connect().await;
        let peer_address = peer.local_addr().expect("an address");
        assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
        let info = told.begin().await;
        assert_eq!(info.number, number);
        assert_eq!(address(&info.peer), peer_address);
        assert_eq!(info.local, server.address);
        assert_eq!(*info.listener, server.address.to_string());
        assert_eq!(exchange(peer, &[b'x'; 100_000]).await.len(), 100_000);
        let (same, end) = told.end().await;
        assert_eq!((same.number, address(&same.peer)), (number, peer_address));
        assert_eq!((end.received, end.sent), (100_011, 100_006));
        assert_eq!(end.cause, EndCause::Done);
        assert!(
            end.cpu_time > Duration::ZERO && end.duration > Duration::ZERO,
            "{end:?}"
        );
    }
    server.stop().await;
    assert!(told.0.recv().await.is_none(), "each is told once");
}

#[tokio::test]
async fn the_cause_of_the_end_has_a_type() {
    let _open = unchanged();
    let limits = Limits {
        cpu_timeout: Some(Duration::from_millis(10)),
        max_handles: 100,
        ..Limits::default()
    };
    end_for(
        limits,
        &[
            ("error why\n", EndCause::HandlerError),
            ("trap\n", EndCause::Trap),
            ("spin\n", EndCause::CpuTimeout),
            ("hold 100\n", EndCause::HandleLimit),
        ],
    )
    .await;
    let idle = Limits {
        idle_timeout: Some(Duration::from_millis(100)),
        ..Limits::default()
    };
    end_for(idle, &[("echo\n", EndCause::IdleTimeout)]).await;
    let short = Limits {
        timeout: Some(Duration::from_millis(100)),
        ..Limits::default()
    };
    end_for(short, &[("echo\n", EndCause::Timeout)]).await;
}

/// Connections that begin with these commands end for these causes.
async fn end_for(limits: Limits, causes: &[(&str, EndCause)]) {
    let (mut told, hook) = Told::new();
    let server = Running::start(|builder| hook(builder.limits(limits))).await;
    for (command, cause) in causes {
        let mut peer = server.connect().await;
        peer.write_all(command.as_bytes()).await.expect("sent");
        wait_for_close(&mut peer).await;
        told.begin().await;
        let (_, end) = told.end().await;
        assert_eq!(end.cause, *cause, "{command}");
    }
    server.stop().await;
}

#[tokio::test]
async fn peers_that_are_gone_or_too_many_and_the_shutdown_are_causes() {
    let _open = unchanged();
    let limits = Limits {
        max_connections_per_peer: Some(1),
        ..Limits::default()
    };
    let (mut told, hook) = Told::new();
    let configure = |builder: ServerBuilder| hook(builder.limits(limits));
    let server = Running::start_with(configure, |shutdown| shutdown).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "ignore\n").await, "ignoring\n");
    told.begin().await;
    is_turned_away(server.address).await;
    told.begin().await;
    assert_eq!(told.end().await.1.cause, EndCause::PeerLimit);
    reset(peer);
    assert_eq!(told.end().await.1.cause, EndCause::PeerGone);
    let mut last = server.connect().await;
    assert_eq!(ask(&mut last, "echo\nhello\n").await, "hello\n");
    told.begin().await;
    drop(server.begin);
    drop(server.now);
    let (info, end) = told.end().await;
    assert_eq!((info.number, end.cause), (3, EndCause::Shutdown));
    assert_eq!((end.received, end.sent), (11, 6));
    let served = super::ended(server.task).await;
    assert_eq!(served.killed, 1);
}

/// The proxy's header is not the service's.
#[tokio::test]
async fn a_peer_that_a_proxy_announces_is_known_at_the_end() {
    let _open = unchanged();
    let (mut told, hook) = Told::new();
    let server = start_at(behind_a_proxy(), hook).await;
    let mut peer = announced(&server, "192.0.2.7", 1234).await;
    let proxy = peer.local_addr().expect("an address");
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    assert_eq!(address(&told.begin().await.peer), proxy);
    drop(peer);
    let (info, end) = told.end().await;
    assert_eq!(address(&info.peer).to_string(), "192.0.2.7:1234");
    assert_eq!((end.received, end.sent), (11, 6));
    let mut stranger = server.connect().await;
    stranger.write_all(b"hello\r\n").await.expect("sent");
    wait_for_close(&mut stranger).await;
    told.begin().await;
    assert_eq!(told.end().await.1.cause, EndCause::Handshake);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_panics_ends_nothing() {
    let _open = unchanged();
    let configure = |builder: ServerBuilder| {
        builder
            .on_begin(|_| panic!("a panic that is part of the test"))
            .on_end(|_, _| panic!("a panic that is part of the test"))
    };
    let server = Running::start(configure).await;
    for _ in 0..2 {
        let answer = exchange(server.connect().await, b"echo\nhello\n").await;
        assert_eq!(answer, b"hello\n");
    }
    let handle = server.handle.clone();
    eventually("they are done", async || handle.open() == 0).await;
    let served = server.stop().await;
    assert_eq!((served.connections, served.failed), (2, 0));
}
