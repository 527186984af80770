//! Deferred accept: a connection is delivered when its peer has sent something, or has ended.

use crate::support::descriptors::unchanged;
use crate::support::{connect, descriptors, host, over_both_families, within};
use evconn::{Connection, Error, ErrorCode, Listener, ListenerBuilder};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

over_both_families!(
    only_a_peer_that_has_sent_something_is_delivered,
    a_peer_that_has_ended_is_delivered,
    at_max_held_it_stops_accepting,
    one_that_is_held_for_too_long_is_closed_and_counted,
    what_is_held_stays_so_while_it_is_off,
    close_closes_what_is_held,
);

const LONG: Duration = Duration::from_secs(3600);

/// Creates a listener that passes its connections on.
async fn listening(
    ip: IpAddr,
    max_held: u32,
    timeout: Duration,
) -> (Listener, mpsc::UnboundedReceiver<Connection>) {
    let (sender, connections) = mpsc::unbounded_channel();
    let listener = Listener::builder(host())
        .deferred_accept(max_held, timeout)
        .on_connection(move |_, connection| {
            // The test may have ended, and dropped the receiver.
            let _ = sender.send(connection);
        })
        .bind(SocketAddr::new(ip, 0))
        .await
        .expect("a listener");
    (listener, connections)
}

/// Waits until `count` connections are held.
async fn held(listener: &Listener, count: u32) {
    within("held", async {
        while listener.stats().held != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn only_a_peer_that_has_sent_something_is_delivered(ip: IpAddr) {
    let (listener, mut connections) = listening(ip, 8, LONG).await;
    let _silent = connect(listener.local_addr()).await;
    let mut speaking = connect(listener.local_addr()).await;
    held(&listener, 2).await;
    speaking.write_all(b"x").await.expect("sent");
    let mut connection = within("a connection", connections.recv())
        .await
        .expect("one");
    assert_eq!(
        connection.peer_addr(),
        speaking.local_addr().expect("its address")
    );
    // The byte is still there.
    assert_eq!(connection.read_u8().await.expect("the byte"), b'x');
    held(&listener, 1).await;
    connections.try_recv().expect_err("the other one is held");
    let stats = listener.stats();
    assert_eq!((stats.accepted, stats.timed_out), (1, 0));
}

async fn a_peer_that_has_ended_is_delivered(ip: IpAddr) {
    let (listener, mut connections) = listening(ip, 8, LONG).await;
    let mut peer = connect(listener.local_addr()).await;
    held(&listener, 1).await;
    peer.shutdown().await.expect("ended");
    let mut connection = within("a connection", connections.recv())
        .await
        .expect("one");
    assert_eq!(connection.read(&mut [0]).await.expect("the end"), 0);
}

async fn at_max_held_it_stops_accepting(ip: IpAddr) {
    let (listener, mut connections) = listening(ip, 2, LONG).await;
    let mut first = connect(listener.local_addr()).await;
    let _second = connect(listener.local_addr()).await;
    held(&listener, 2).await;
    // It has sent something, but it is in the queue behind those that have not.
    let mut third = connect(listener.local_addr()).await;
    third.write_all(b"3").await.expect("sent");
    first.write_all(b"1").await.expect("sent");
    for expected in [&first, &third] {
        let connection = within("a connection", connections.recv())
            .await
            .expect("one");
        assert_eq!(
            connection.peer_addr(),
            expected.local_addr().expect("its address")
        );
    }
    held(&listener, 1).await;
}

async fn one_that_is_held_for_too_long_is_closed_and_counted(ip: IpAddr) {
    let (listener, mut connections) = listening(ip, 8, Duration::from_millis(20)).await;
    let mut silent = connect(listener.local_addr()).await;
    let ended = within("the end", silent.read(&mut [0])).await;
    assert_eq!(ended.expect("a clean end"), 0);
    within("counted", async {
        while listener.stats().timed_out != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(listener.stats().held, 0);
    connections.try_recv().expect_err("it was not delivered");
}

/// While disabled or paused, the listener keeps the held connections. Each is delivered to the callback
/// that is set at that time.
async fn what_is_held_stays_so_while_it_is_off(ip: IpAddr) {
    let (listener, mut connections) = listening(ip, 8, LONG).await;
    let mut peer = connect(listener.local_addr()).await;
    held(&listener, 1).await;
    listener.disable();
    peer.write_all(b"x").await.expect("sent");
    within("nothing is left to wait for", listener.idle()).await;
    connections.try_recv().expect_err("it is disabled");

    listener.clear_callback();
    listener.enable().expect("enabled");
    within("nothing is left to wait for", listener.idle()).await;
    connections.try_recv().expect_err("it is paused");

    let (sender, mut later) = mpsc::unbounded_channel();
    listener.set_callback(move |_, connection| {
        sender.send(connection).expect("the test waits for it");
    });
    within("a connection", later.recv()).await.expect("one");
}

async fn close_closes_what_is_held(ip: IpAddr) {
    let (listener, mut connections) = listening(ip, 8, LONG).await;
    let address = listener.local_addr();
    let mut peer = connect(address).await;
    held(&listener, 1).await;
    listener.close();
    within("closed", listener.closed()).await;
    let ended = within("the end", peer.read(&mut [0])).await;
    assert_eq!(ended.expect("a clean end"), 0);
    assert_eq!(descriptors::bound_to(address), 0);
    connections.try_recv().expect_err("it was not delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holding_nothing_or_for_no_time_is_invalid() {
    let _open = unchanged();
    let builders: [ListenerBuilder; 2] = [
        Listener::builder(host()).deferred_accept(0, LONG),
        Listener::builder(host()).deferred_accept(1, Duration::ZERO),
    ];
    for builder in builders {
        match builder
            .bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))
            .await
        {
            Err(Error::Socket(ErrorCode::InvalidArgument)) => {}
            other => panic!("{other:?}"),
        }
    }
}
