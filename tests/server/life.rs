//! A server's life: ready, stopping, drained.

use super::{Running, ended, eventually, service};
use crate::support::descriptors::unchanged;
use crate::support::{DEADLINE, ask, connect, host, wait_for_close, within};
use evconn::{Limits, Listener, Opened, Server};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn open_connections_may_finish() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    let address = server.address;
    drop(server.begin);
    within("it is stopping", server.handle.stopping()).await;
    eventually("the port is closed", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert_eq!(ask(&mut peer, "still here\n").await, "still here\n");
    drop(peer);
    assert!(ended(server.task).await.is_clean());
}

#[tokio::test]
async fn what_is_open_after_the_grace_is_reset() {
    let _open = unchanged();
    let grace = Duration::from_millis(50);
    let server = Running::start_with(|builder| builder, |shutdown| shutdown.grace(grace)).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    let served = server.stop().await;
    assert_eq!((served.killed, served.is_clean()), (1, false));
    within("the end", peer.read(&mut [0]))
        .await
        .expect_err("a reset");
}

#[tokio::test]
async fn the_second_signal_ends_it_now() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    drop(server.begin);
    within("it is stopping", server.handle.stopping()).await;
    drop(server.now);
    assert_eq!(ended(server.task).await.killed, 1);
    wait_for_close(&mut peer).await;
}

#[tokio::test]
async fn without_a_limit_of_the_grace_connections_continue_until_they_end_or_the_second_signal() {
    let _open = unchanged();
    let start = || Running::start_with(|builder| builder, |s| s.grace(Duration::MAX));
    for is_ended_by_its_peer in [true, false] {
        let server = start().await;
        let mut peer = server.connect().await;
        assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
        let address = server.address;
        drop(server.begin);
        eventually("the port is closed", async || {
            TcpStream::connect(address).await.is_err()
        })
        .await;
        assert_eq!(ask(&mut peer, "still here\n").await, "still here\n");
        match is_ended_by_its_peer {
            true => drop(peer),
            false => drop(server.now),
        }
        assert_eq!(ended(server.task).await.is_clean(), is_ended_by_its_peer);
    }
}

/// What waits in the queue, and whoever connects later, is for the other process.
#[tokio::test]
async fn queues_that_are_left_belong_to_the_others() {
    let _open = unchanged();
    let theirs = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let opened = Opened::Tcp {
        listener: theirs.try_clone().expect("another descriptor"),
        shared: false,
    };
    let listener = Listener::builder(host()).listen(opened).await;
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let builder = Server::builder(&service()).limits(limits);
    let builder = builder.listener(listener.expect("a listener"));
    let server = Running::run(builder, |shutdown| shutdown.grace(DEADLINE)).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    let _waiting = server.connect().await;
    server.handle.leave_queues();
    drop(server.begin);
    within("it is stopping", server.handle.stopping()).await;
    let _late = connect(server.address).await;
    assert_eq!(ask(&mut peer, "still here\n").await, "still here\n");
    drop(peer);
    assert_eq!(ended(server.task).await.connections, 1);
    theirs.set_nonblocking(false).expect("it may block");
    for _ in 0..2 {
        theirs.accept().expect("they wait");
    }
}

/// Connections are accepted, and served, for as long as the delay lasts.
#[tokio::test]
async fn it_goes_on_accepting_for_the_drain_delay() {
    let _open = unchanged();
    let server = Running::start_with(
        |builder| builder,
        |shutdown| shutdown.grace(DEADLINE).drain_delay(DEADLINE),
    )
    .await;
    drop(server.begin);
    within("it is stopping", server.handle.stopping()).await;
    let mut peer = connect(server.address).await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    // Nobody waits for the end of the delay.
    drop(server.now);
    assert_eq!(ended(server.task).await.killed, 1);
}

#[tokio::test]
async fn the_drain_delay_is_over_some_time() {
    let _open = unchanged();
    let delay = Duration::from_millis(100);
    let server =
        Running::start_with(|builder| builder, |shutdown| shutdown.drain_delay(delay)).await;
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn it_ends_when_it_was_idle_for_long_enough() {
    let _open = unchanged();
    let idle = Duration::from_millis(300);
    let server = Running::start(|builder| builder.shutdown_after_idle(idle)).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    // Longer than it may be idle for: it is not, while a connection is open.
    tokio::time::sleep(2 * idle).await;
    assert_eq!(ask(&mut peer, "still here\n").await, "still here\n");
    drop(peer);
    let served = ended(server.task).await;
    assert_eq!((served.connections, served.is_clean()), (1, true));
}

#[tokio::test]
async fn a_server_that_is_dropped_resets_its_connections() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut peer = server.connect().await;
    assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    server.task.abort();
    within("the end", peer.read(&mut [0]))
        .await
        .expect_err("a reset");
    let handle = server.handle.clone();
    eventually("nothing is open", async || handle.open() == 0).await;
}

#[tokio::test]
async fn several_sources_are_served() {
    let _open = unchanged();
    let server = Server::builder(&service())
        .listen("127.0.0.1:0".parse().expect("a source"))
        .listen("127.0.0.1:0".parse().expect("a source"))
        .bind()
        .await
        .expect("a server");
    let addresses: Vec<_> = server.listeners().iter().map(|l| l.local_addr()).collect();
    assert_eq!(addresses.len(), 2);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(evconn::Shutdown::on(stopped)));
    for address in addresses {
        let mut peer = connect(address).await;
        assert_eq!(ask(&mut peer, "echo\nhello\n").await, "hello\n");
    }
    drop(stop);
    assert_eq!(ended(running).await.connections, 2);
}

#[tokio::test]
async fn a_source_that_cannot_be_had_is_named() {
    let _open = unchanged();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let error = Server::builder(&service())
        .listen("127.0.0.1:0".parse().expect("a source"))
        .listen(evconn::ListenSource::Address(address))
        .bind()
        .await
        .err()
        .expect("it is taken");
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: Address already in use")
    );
}
