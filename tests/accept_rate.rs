//! The accept rate, and how many connections are accepted in one iteration.

use crate::support::descriptors::unchanged;
use crate::support::{connect, host, within};
use evconn::{AcceptRate, Connection, Listener, ListenerBuilder};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("not 0")
}

/// Creates listeners that pass their connections on, each in a task of its own.
async fn listening(
    builder: ListenerBuilder,
    listeners: usize,
) -> (Vec<Listener>, UnboundedReceiver<Connection>) {
    let (sender, connections) = mpsc::unbounded_channel();
    let builder = builder.on_connection_async(move |_, connection| {
        // The test may have ended, and dropped the receiver.
        let _ = sender.send(connection);
        async {}
    });
    let mut made = Vec::new();
    for _ in 0..listeners {
        made.push(builder.clone().bind(ANY_PORT).await.expect("a listener"));
    }
    (made, connections)
}

async fn connect_to(listeners: &[Listener], each: usize) -> Vec<TcpStream> {
    let mut peers = Vec::new();
    for _ in 0..each {
        for listener in listeners {
            peers.push(connect(listener.local_addr()).await);
        }
    }
    peers
}

async fn receive(connections: &mut UnboundedReceiver<Connection>, count: usize) {
    for _ in 0..count {
        within("a connection", connections.recv())
            .await
            .expect("one");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_are_accepted_than_the_rate_and_a_burst() {
    let _open = unchanged();
    let rate = AcceptRate::per_second(count(10));
    let builder = Listener::builder(host()).accept_rate(rate);
    let start = Instant::now();
    let (listeners, mut connections) = listening(builder, 1).await;
    let _peers = connect_to(&listeners, 20).await;
    receive(&mut connections, 20).await;
    // Ten of them had to wait for a token, a tenth of a second each.
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_share_a_rate() {
    let _open = unchanged();
    let rate = AcceptRate::per_second(count(20)).burst(count(4));
    let builder = Listener::builder(host()).accept_rate(rate);
    let start = Instant::now();
    let (listeners, mut connections) = listening(builder, 3).await;
    let _peers = connect_to(&listeners, 8).await;
    receive(&mut connections, 24).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

/// As if there were no rate: all connections are accepted, and the idle listener takes no tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_not_used_are_there_for_another_listener() {
    let _open = unchanged();
    // At this rate, all of them would take centuries without the burst.
    let rate = AcceptRate::per_second(count(1)).burst(count(u32::MAX));
    let builder = Listener::builder(host())
        .accept_rate(rate)
        .max_accepts_per_turn(count(u32::MAX));
    let (listeners, mut connections) = listening(builder, 2).await;
    let _peers = connect_to(&listeners[..1], 100).await;
    receive(&mut connections, 100).await;
    let _peers = connect_to(&listeners[1..], 100).await;
    receive(&mut connections, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_gets_them_at_the_rate_too() {
    let _open = unchanged();
    let rate = AcceptRate::per_second(count(10)).burst(count(1));
    let (sender, mut connections) = mpsc::unbounded_channel();
    let start = Instant::now();
    let listener = Listener::builder(host())
        .accept_rate(rate)
        .on_connection(move |_, connection| {
            // The test may have ended, and dropped the receiver.
            let _ = sender.send(connection);
        })
        .bind(ANY_PORT)
        .await
        .expect("a listener");
    let _peers = connect_to(std::slice::from_ref(&listener), 6).await;
    receive(&mut connections, 6).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

/// A held connection has taken its token. It must not take another one when it is delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_for_its_first_byte_takes_one_token() {
    let _open = unchanged();
    let rate = AcceptRate::per_second(count(1)).burst(count(5));
    let builder = Listener::builder(host())
        .accept_rate(rate.clone())
        .deferred_accept(100, Duration::from_secs(3600));
    let start = Instant::now();
    let (listeners, mut connections) = listening(builder, 1).await;
    let peers = connect_to(&listeners, 3).await;
    within("held", async {
        while listeners[0].stats().held < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for peer in &peers {
        peer.try_write(b"x").expect("sent");
    }
    receive(&mut connections, 3).await;
    // Two of the five are left: two more in the first second can only be those.
    let _peers: Vec<_> = connect_to(&listeners, 2).await;
    within("held", async {
        while listeners[0].stats().held < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let _one_more = connect_to(&listeners, 1).await;
    within("held", async {
        while listeners[0].stats().held < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(1),
        "the sixth has to wait: {took:?}"
    );
}

/// Returns how many connections are delivered between two polls of another task on the same thread.
async fn most_in_a_turn(per_turn: u32) -> u64 {
    let turns = Arc::new(AtomicU64::new(0));
    let (sender, mut seen) = mpsc::unbounded_channel();
    let counter = Arc::clone(&turns);
    let listener = Listener::builder(host())
        .max_accepts_per_turn(count(per_turn))
        .enabled(false)
        .on_connection_async(move |_, _connection| {
            // The test may have ended, and dropped the receiver.
            let _ = sender.send(counter.load(Ordering::Relaxed));
            async {}
        })
        .bind(ANY_PORT)
        .await
        .expect("a listener");
    let _peers = connect_to(std::slice::from_ref(&listener), 40).await;
    let other = tokio::spawn(async move {
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    listener.enable().expect("it is not closed");
    let mut in_turn = std::collections::BTreeMap::<u64, u64>::new();
    for _ in 0..40 {
        let turn = within("a connection", seen.recv()).await.expect("one");
        *in_turn.entry(turn).or_default() += 1;
    }
    other.abort();
    // The runtime has one thread, so nothing would be closed after the test has returned.
    listener.close();
    within("it is closed", listener.closed()).await;
    in_turn.into_values().max().unwrap_or_default()
}

#[tokio::test]
async fn others_get_their_turn_when_so_many_were_accepted() {
    let _open = unchanged();
    assert_eq!(most_in_a_turn(1).await, 1);
    let three = most_in_a_turn(3).await;
    assert!((2..=3).contains(&three), "{three}");
    let all = most_in_a_turn(64).await;
    assert!(all > 3, "{all}");
}
