//! Virtual sockets, whose connections the host has accepted, and what a guest may use: the host's own sockets alone have
//! these.

use crate::sockets::case::{Case, Program};
use crate::sockets::linked::Implementation;
use crate::support::{connect, exchange, within};
use evconn::sockets::{Account, AccountLimits, Counted, Endpoint, Incoming, Plain};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A connection that the host has accepted, and its peer.
async fn accepted() -> (Arc<Endpoint>, TcpStream) {
    let listener = TcpListener::bind((IP, 0)).expect("a listener");
    let peer = connect(listener.local_addr().expect("its address")).await;
    let (stream, address) = listener.accept().expect("accepted");
    stream.set_nonblocking(true).expect("set");
    let endpoint = Endpoint::new(Plain::tcp(stream), address);
    endpoint.register().expect("registered");
    endpoint.hold_end();
    (Arc::new(endpoint), peer)
}

/// The program, with a connection in its queue.
async fn served(mut case: Case) -> (Program, Incoming, Arc<Endpoint>, TcpStream) {
    let incoming = Incoming::new();
    case.setup.incoming = Some(incoming.clone());
    let (endpoint, peer) = accepted().await;
    let mut program = case.start(&[]);
    program.address().await;
    // It may wait for the connection by now, or not yet.
    incoming.push(Arc::clone(&endpoint));
    (program, incoming, endpoint, peer)
}

fn run<F: Future<Output = ()>>(name: &'static str, body: impl FnOnce(Case) -> F) {
    let _open = crate::support::descriptors::unchanged();
    crate::sockets::case::run_async(Implementation::Own, name, IP, body);
}

#[test]
fn a_connection_of_the_host_ends_as_its_guest_ends_it() {
    run("streams::echo", async |case: Case| {
        let (program, incoming, endpoint, peer) = served(case).await;
        assert_eq!(exchange(peer, b"hello").await, b"hello");
        program.ends(&["received: ok", "sent: ok"]).await;
        assert!(endpoint.was_closed_by_guest());
        assert_eq!((incoming.accepted(), incoming.open()), (1, 0));
    });
}

/// The guest has dropped the socket: the connection is open for as long as it has a stream.
#[test]
fn a_connection_is_open_while_a_stream_is_there() {
    run("streams::socket_dropped", async |case: Case| {
        let (mut program, incoming, endpoint, mut peer) = served(case).await;
        peer.write_all(b"x").await.expect("sent");
        assert_eq!(program.hear("first").await, "true");
        assert_eq!(program.hear("left").await, "0");
        let mut bytes = Vec::new();
        let read = within("the end", peer.read_to_end(&mut bytes)).await;
        read.expect("a regular end");
        assert_eq!(
            (incoming.open(), endpoint.was_closed_by_guest()),
            (1, false)
        );
        drop(peer);
        program.ends(&["sent: ok", "rest: 0", "received: ok"]).await;
        assert_eq!((incoming.open(), endpoint.was_closed_by_guest()), (0, true));
    });
}

/// What a trap leaves behind was dropped by nobody.
#[test]
fn the_end_of_a_connection_that_a_trap_leaves_is_the_host_s() {
    run("streams::trap", async |case: Case| {
        let (mut program, _incoming, endpoint, mut peer) = served(case).await;
        let mut bytes = [0; 5];
        let read = within("five bytes", peer.read_exact(&mut bytes)).await;
        read.expect("five bytes");
        program.tell().await;
        program.end().await.1.expect_err("a trap");
        assert!(endpoint.was_accepted_by_guest() && !endpoint.was_closed_by_guest());
    });
}

/// A connection of a guest to itself wakes the one that waits for it.
#[test]
fn a_guest_accepts_its_own_connections() {
    run("connect::live", async |mut case: Case| {
        case.setup.incoming = Some(Incoming::new());
        case.says(&[
            "connect: ok",
            "remote: the same",
            "local: the same",
            "the server's local: the same",
        ])
        .await;
    });
}

/// A guest that has no descriptor left is told so. The connection waits, and is not lost.
#[test]
fn who_has_no_descriptor_left_is_told_and_accepts_later() {
    run("limits::accepting", async |mut case: Case| {
        let limits = AccountLimits {
            descriptors: 3,
            ..AccountLimits::default()
        };
        let account = Account::new(limits, None);
        case.setup.account = Some(account.clone());
        let mut program = case.start(&[]);
        let address = program.address().await;
        let _peers = [
            connect(address).await,
            connect(address).await,
            connect(address).await,
        ];
        program
            .ends(&["create: other", "accept: other, other, other", "later: ok"])
            .await;
        assert_eq!(account.used(Counted::Descriptors), 0);
    });
}
