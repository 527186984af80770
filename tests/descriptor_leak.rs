//! libevent's test for leaks: 2,000 connections, one after the other, with few descriptors.

use crate::support::child::{self, Child};
use crate::support::descriptors::unchanged;
use crate::support::{Server, connect, exchange, limit};
use evconn::{Limits, guests};
use std::net::Ipv4Addr;

const CONNECTIONS: u64 = 2_000;

/// How many descriptors the server's process may have, in all: the host's own, and a few more.
const LIMIT: u64 = 48;

#[tokio::test]
async fn two_thousand_echoes_with_few_descriptors() {
    let _open = unchanged();
    let mut child = Child::of_test("descriptor_leak::child_that_echoes");
    let address = child.hear("listening").parse().expect("an address");
    for number in 0..CONNECTIONS {
        // The client ends first: the server's port has no connection left in TIME_WAIT.
        let answer = exchange(connect(address).await, b"x").await;
        assert_eq!(answer, b"x", "connection {number}");
    }
    child.dismiss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_that_echoes() {
    if !child::is_one() {
        return;
    }
    // The first server opens what the process goes on to use, and it closes the rest.
    start().await.stop().await;
    let before = limit::open();
    let server = start().await;
    assert!(limit::open().len() as u64 <= LIMIT * 2 / 3, "{before:?}");
    limit::set(LIMIT);
    child::say(format_args!("listening {}", server.address));

    child::dismissed().await;
    let stats = server.listener.stats();
    let served = server.stop().await;
    assert_eq!((served.connections, served.killed), (CONNECTIONS, 0));
    assert_eq!(stats.resource_errors, 0);
    assert_eq!(limit::open(), before);
}

async fn start() -> Server {
    let ip = Ipv4Addr::LOCALHOST.into();
    Server::start(ip, guests::ECHO, Limits::default()).await
}
