//! The rows of libevent's behaviour that are not among its own tests: what it does, or what it should
//! have done.

use crate::support::{connect, descriptors, host, listen, over_both_families, reset, within};
use evconn::{Connection, Listener, State};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

over_both_families!(
    the_backlog_bounds_the_queue,
    connections_survive_their_listener,
    a_listener_may_be_closed_in_the_error_callback,
    disable_and_enable_inside_the_callback_goes_on,
    a_paused_listener_closes_nobody,
    a_peer_that_resets_before_it_is_accepted_stops_nobody,
    keep_alive_is_not_set,
    every_socket_is_close_on_exec,
);

/// Sends each connection on to the test.
async fn forwarding(ip: IpAddr) -> (Listener, mpsc::UnboundedReceiver<Connection>) {
    let (sender, connections) = mpsc::unbounded_channel();
    let listener = listen(ip).await;
    listener.set_callback(move |_, connection| {
        // The test may have ended, and dropped the receiver.
        let _ = sender.send(connection);
    });
    (listener, connections)
}

/// With a backlog of 1 Linux completes two handshakes. The third peer waits in its own kernel.
async fn the_backlog_bounds_the_queue(ip: IpAddr) {
    let (sender, mut served) = mpsc::unbounded_channel();
    let listener = Listener::builder(host())
        .backlog(1)
        .enabled(false)
        .on_connection(move |_, connection| sender.send(connection).expect("waited for"))
        .bind(SocketAddr::new(ip, 0))
        .await
        .expect("a listener");
    let address = listener.local_addr();
    let _queued = [connect(address).await, connect(address).await];
    let third = TcpStream::connect(address);
    tokio::pin!(third);
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut third).await;
    assert!(early.is_err(), "the queue takes a third one");

    listener.enable().expect("enabled");
    within("the third connects", third)
        .await
        .expect("connected");
    for _ in 0..3 {
        within("a connection", served.recv()).await.expect("one");
    }
}

async fn connections_survive_their_listener(ip: IpAddr) {
    let (listener, mut connections) = forwarding(ip).await;
    let mut client = connect(listener.local_addr()).await;
    let mut connection = within("a connection", connections.recv())
        .await
        .expect("one");
    listener.close();
    within("closed", listener.closed()).await;
    connection.write_all(b"still here").await.expect("written");
    drop(connection);
    let mut text = String::new();
    within("all of it", client.read_to_string(&mut text))
        .await
        .expect("received");
    assert_eq!(text, "still here");
}

async fn a_listener_may_be_closed_in_the_error_callback(ip: IpAddr) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let (listener, _connections) = forwarding(ip).await;
    let address = listener.local_addr();
    listener.set_error_callback(move |listener, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        listener.close();
    });
    descriptors::break_listening(address);
    within("closed", listener.closed()).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(listener.state(), State::Closed);
    assert_eq!(descriptors::bound_to(address), 0);
}

async fn disable_and_enable_inside_the_callback_goes_on(ip: IpAddr) {
    let listener = listen(ip).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(listener.local_addr()).await);
    }
    let (sender, mut served) = mpsc::unbounded_channel();
    listener.set_callback(move |listener, _| {
        listener.disable();
        listener.enable().expect("enabled");
        sender.send(()).expect("waited for");
    });
    for _ in 0..3 {
        within("a connection", served.recv()).await.expect("one");
    }
}

/// libevent accepts and closes a peer at each turn of its loop here.
async fn a_paused_listener_closes_nobody(ip: IpAddr) {
    let (listener, mut connections) = forwarding(ip).await;
    let _first = connect(listener.local_addr()).await;
    within("a connection", connections.recv())
        .await
        .expect("one");
    listener.clear_callback();
    within("nothing is left to wait for", listener.idle()).await;

    let mut waiting = connect(listener.local_addr()).await;
    waiting.write_all(b"x").await.expect("sent");
    let (sender, mut served) = mpsc::unbounded_channel();
    listener.set_callback(move |_, connection| sender.send(connection).expect("waited for"));
    let mut connection = within("a connection", served.recv()).await.expect("one");
    assert_eq!(connection.read_u8().await.expect("its byte"), b'x');
    assert_eq!(listener.stats().aborted, 0);
}

/// A peer that went away while it waited is delivered with its address, as any other: what became of
/// it is what a read says. The one behind it is served.
async fn a_peer_that_resets_before_it_is_accepted_stops_nobody(ip: IpAddr) {
    let (listener, mut connections) = forwarding(ip).await;
    listener.disable();
    within("nothing is left to wait for", listener.idle()).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        let peer = connect(listener.local_addr()).await;
        expected.push((peer.local_addr().expect("its address"), false));
        reset(peer);
    }
    let behind = connect(listener.local_addr()).await;
    expected.push((behind.local_addr().expect("its address"), true));
    listener.enable().expect("enabled");
    for (address, is_there) in expected {
        let mut connection = within("a connection", connections.recv())
            .await
            .expect("one");
        assert_eq!(connection.peer_addr(), address);
        if !is_there {
            let error = connection.read_u8().await.expect_err("it is gone");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    let stats = listener.stats();
    assert_eq!((stats.accepted, stats.aborted + stats.peer_errors), (4, 0));
    assert_eq!((stats.resource_errors, stats.fatal_errors), (0, 0));
}

async fn keep_alive_is_not_set(ip: IpAddr) {
    let (listener, mut connections) = forwarding(ip).await;
    let _client = connect(listener.local_addr()).await;
    let _connection = within("a connection", connections.recv()).await;
    let mut count = 0;
    descriptors::for_each(listener.local_addr(), |socket| {
        assert!(!socket.keepalive().expect("SO_KEEPALIVE"));
        count += 1;
    });
    assert_eq!(count, 2, "the listening socket and the connection");
}

/// `LEV_OPT_CLOSE_ON_EXEC`, always.
async fn every_socket_is_close_on_exec(ip: IpAddr) {
    let (listener, mut connections) = forwarding(ip).await;
    let _client = connect(listener.local_addr()).await;
    let _connection = within("a connection", connections.recv()).await;
    let mut count = 0;
    descriptors::for_each(listener.local_addr(), |socket| {
        let flags = rustix::io::fcntl_getfd(&*socket).expect("F_GETFD");
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        count += 1;
    });
    assert_eq!(count, 2, "the listening socket and the connection");
}
