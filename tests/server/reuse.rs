//! Instances that serve one connection after the other.

use super::{Running, eventually, service};
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{DEADLINE, ask, exchange, wait_for_close};
use evconn::{Grants, InstancePolicy, Limits, Server};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn start(connections: u32, idle_timeout: Duration) -> Running {
    let reuse = InstancePolicy {
        reuse: NonZeroU32::new(connections),
        idle_timeout,
        ..InstancePolicy::default()
    };
    Running::start(|builder| builder.instances(reuse)).await
}

const LONG: Duration = Duration::from_secs(600);

/// Returns how many connections the instance that serves this one has served, with it; and wait until it is
/// free for the next.
async fn count(server: &Running) -> u32 {
    let answer = exchange(server.connect().await, b"count\n").await;
    free(server, 0).await;
    let text = String::from_utf8(answer).expect("text");
    text.trim().parse().expect("a number")
}

async fn free(server: &Running, open: usize) {
    let handle = server.handle.clone();
    eventually("the connection is done", async || handle.open() == open).await;
}

#[tokio::test]
async fn each_connection_has_a_fresh_one_by_default() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    for _ in 0..3 {
        assert_eq!(count(&server).await, 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn one_serves_as_many_as_it_may() {
    let _open = unchanged();
    let server = start(3, LONG).await;
    for expected in [1, 2, 3, 1, 2, 3, 1] {
        assert_eq!(count(&server).await, expected);
    }
    server.stop().await;
}

/// The limits are those of the instance: what it keeps open counts for its next connection, too, but takes the place
/// of none.
#[tokio::test]
async fn what_it_keeps_open_counts_for_its_next_connection() {
    let _open = unchanged();
    let grants = Grants::builder().inherit_network(true);
    let service = service().with_grants(grants.build().expect("grants"));
    let limits = Limits {
        max_connections: 1,
        max_descriptors: 8,
        ..Limits::default()
    };
    let builder = Server::builder(&service)
        .listen("127.0.0.1:0".parse().expect("a source"))
        .limits(limits)
        .instances(InstancePolicy {
            reuse: NonZeroU32::new(3),
            idle_timeout: LONG,
            ..InstancePolicy::default()
        });
    let server = Running::run(builder, |shutdown| shutdown.grace(DEADLINE)).await;
    assert_eq!(
        exchange(server.connect().await, b"hoard kept 3\n").await,
        b"kept\n"
    );
    free(&server, 0).await;
    let mut second = server.connect().await;
    assert_eq!(
        ask(&mut second, "hoard sockets\n").await,
        "4 new-socket-limit\n"
    );
    drop(second);
    server.stop().await;
}

#[tokio::test]
async fn connections_at_the_same_time_have_one_each() {
    let _open = unchanged();
    let server = start(100, LONG).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut peer = server.connect().await;
        assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
        open.push(peer);
    }
    let answer = exchange(server.connect().await, b"count\n").await;
    assert_eq!(answer, b"1\n");
    drop(open);
    free(&server, 0).await;
    assert_eq!(count(&server).await, 2);
    server.stop().await;
}

#[tokio::test]
async fn one_that_trapped_is_never_used_again() {
    let _open = unchanged();
    let server = start(100, LONG).await;
    assert_eq!(count(&server).await, 1);
    assert_eq!(count(&server).await, 2);
    let mut peer = server.connect().await;
    peer.write_all(b"trap\n").await.expect("sent");
    wait_for_close(&mut peer).await;
    free(&server, 0).await;
    assert_eq!(count(&server).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn one_whose_handler_returned_an_error_is_used_again() {
    let _open = unchanged();
    let server = start(100, LONG).await;
    assert_eq!(count(&server).await, 1);
    let mut peer = server.connect().await;
    peer.write_all(b"error no luck\n").await.expect("sent");
    wait_for_close(&mut peer).await;
    free(&server, 0).await;
    assert_eq!(count(&server).await, 3);
    assert_eq!(server.stop().await.failed, 1);
}

#[tokio::test]
async fn one_that_keeps_its_connection_is_used_again_without_it() {
    let _open = unchanged();
    let server = start(100, LONG).await;
    assert_eq!(count(&server).await, 1);
    for _ in 0..3 {
        let answer = exchange(server.connect().await, b"leak last words\n").await;
        assert_eq!(answer, b"last words");
        free(&server, 0).await;
    }
    assert_eq!(count(&server).await, 5);
    server.stop().await;
}

/// It would run out of them.
#[tokio::test]
async fn one_that_keeps_too_many_handles_is_not_used_again() {
    let log = Log::start();
    let limits = Limits {
        max_handles: 20,
        ..Limits::default()
    };
    let reuse = InstancePolicy {
        reuse: NonZeroU32::new(100),
        idle_timeout: LONG,
        ..InstancePolicy::default()
    };
    let server = Running::start(|builder| builder.instances(reuse).limits(limits)).await;
    for round in 0..2 {
        for _ in 0..4 {
            let answer = exchange(server.connect().await, b"leak last words\n").await;
            assert_eq!(answer, b"last words");
            free(&server, 0).await;
        }
        assert_eq!(count(&server).await, 1, "round {round}");
        // So that the next round begins with a fresh one, too.
        server.handle.reload(&service()).expect("there is room");
    }
    server.stop().await;
    assert!(
        log.text().contains("not drop its handles"),
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn one_that_serves_nobody_ends_after_a_while() {
    let _open = unchanged();
    let server = start(1_000_000, Duration::from_millis(50)).await;
    assert_eq!(count(&server).await, 1);
    // Each look makes it wait anew: the pauses between them grow.
    eventually("it has ended", async || count(&server).await == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn none_is_kept_of_a_service_that_was_replaced() {
    let _open = unchanged();
    let server = start(100, LONG).await;
    assert_eq!(count(&server).await, 1);
    assert_eq!(count(&server).await, 2);
    server.handle.reload(&service()).expect("there is room");
    assert_eq!(count(&server).await, 1);
    server.stop().await;
}
