//! The handle to a listener: from any thread, from inside a callback, to the end.

use crate::support::descriptors::unchanged;
use crate::support::{connect, descriptors, exchange, host, listen, over_both_families, within};
use evconn::{Connection, Error, ErrorCode, Listener, State};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

over_both_families!(
    addresses_are_the_actual_ones,
    an_async_callback_gets_a_connection_that_reads_and_writes,
    what_was_written_before_a_drop_is_sent,
);

async fn addresses_are_the_actual_ones(ip: IpAddr) {
    let listener = listen(ip).await;
    let address = listener.local_addr();
    assert_eq!(address.ip(), ip);
    assert_ne!(address.port(), 0);
    assert_eq!(listener.local_addrs(), [address]);

    let (sender, mut seen) = mpsc::unbounded_channel();
    listener.set_callback(move |_, connection| {
        let local = connection.local_addr().expect("a local address");
        sender.send((local, connection.peer_addr())).expect("sent");
    });
    let client = connect(address).await;
    let (local, peer) = within("a connection", seen.recv()).await.expect("one");
    assert_eq!(local, address);
    assert_eq!(peer, client.local_addr().expect("the client's address"));
}

async fn an_async_callback_gets_a_connection_that_reads_and_writes(ip: IpAddr) {
    let listener = listen(ip).await;
    listener.set_async_callback(|_, connection| async move {
        let (mut reader, mut writer) = tokio::io::split(connection);
        tokio::io::copy(&mut reader, &mut writer)
            .await
            .expect("copied");
        writer.shutdown().await.expect("ended");
        writer.shutdown().await.expect("ended twice");
    });
    let address = listener.local_addr();
    let clients = (0..20).map(|number| {
        tokio::spawn(async move {
            let sent = vec![number; 3 << 20];
            assert!(exchange(connect(address).await, &sent).await == sent);
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("the client got its bytes back");
    }
}

async fn what_was_written_before_a_drop_is_sent(ip: IpAddr) {
    const LEN: usize = 8 << 20;
    let listener = listen(ip).await;
    listener.set_async_callback(|_, mut connection| async move {
        connection.write_all(&vec![7; LEN]).await.expect("written");
    });
    let mut client = connect(listener.local_addr()).await;
    let mut received = Vec::new();
    within("all of it", client.read_to_end(&mut received))
        .await
        .expect("received");
    assert_eq!(received.len(), LEN);
}

/// Sends each connection on to the test.
fn forward() -> (
    impl FnMut(&Listener, Connection) + Send + 'static,
    mpsc::UnboundedReceiver<Connection>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let callback = move |_: &Listener, connection| {
        // The test may have ended, and dropped the receiver.
        let _ = sender.send(connection);
    };
    (callback, receiver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_callback_peers_wait_for_one() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    assert_eq!(listener.state(), State::Paused);
    let _clients = [
        connect(listener.local_addr()).await,
        connect(listener.local_addr()).await,
    ];
    let (callback, mut connections) = forward();
    listener.set_callback(callback);
    assert_eq!(listener.state(), State::Accepting);
    within("the first", connections.recv()).await.expect("one");
    within("the second", connections.recv()).await.expect("two");

    listener.clear_callback();
    assert_eq!(listener.state(), State::Paused);
    within("nothing is left to wait for", listener.idle()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_at_first_only_enable_starts_it() {
    let _open = unchanged();
    let (callback, mut connections) = forward();
    let listener = Listener::builder(host())
        .enabled(false)
        .bind(SocketAddr::new(LOCALHOST, 0))
        .await
        .expect("a listener");
    listener.set_callback(callback);
    assert_eq!(listener.state(), State::Disabled);
    let _client = connect(listener.local_addr()).await;
    within("nothing is left to wait for", listener.idle()).await;
    connections.try_recv().expect_err("nothing was accepted");
    listener.enable().expect("enabled");
    listener.enable().expect("enabled twice");
    within("a connection", connections.recv())
        .await
        .expect("one");
}

/// A running callback sets another one, which gets the peer that is waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_callback_gets_the_next_connection_of_the_same_batch() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let _clients = [
        connect(listener.local_addr()).await,
        connect(listener.local_addr()).await,
    ];
    let (second, mut connections) = forward();
    let mut second = Some(second);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    listener.set_callback(move |listener, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        listener.set_callback(second.take().expect("called once"));
    });
    within("the second connection", connections.recv())
        .await
        .expect("one");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// The callback has another thread use the listener, and waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_may_wait_for_a_thread_that_uses_the_listener() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    listener.set_callback(|listener, connection| {
        let other = listener.clone();
        let thread = std::thread::spawn(move || {
            other.set_error_callback(|_, _| {});
            other.clear_error_callback();
            other.disable();
            other.enable().expect("enabled");
            other.disable();
            other.stats()
        });
        assert_eq!(thread.join().expect("no deadlock").accepted, 1);
        drop(connection);
    });
    let mut client = connect(address).await;
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(listener.state(), State::Disabled);
    let mut rest = Vec::new();
    within("the end", client.read_to_end(&mut rest))
        .await
        .expect("closed");
}

/// Threads switch a listener on and off while clients come: every client is served in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_threads_may_use_one_listener() {
    let _open = unchanged();
    const CLIENTS: usize = 100;
    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    let served = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (listener, served, over) = (listener.clone(), served.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    listener.disable();
                    let counted = served.clone();
                    listener.set_callback(move |_, _| {
                        counted.fetch_add(1, Ordering::SeqCst);
                    });
                    listener.stats();
                    listener.state();
                    listener.retry();
                    listener.enable().expect("enabled");
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    for _ in 0..CLIENTS {
        let mut client = connect(address).await;
        let mut rest = Vec::new();
        within("served", client.read_to_end(&mut rest))
            .await
            .expect("closed");
    }
    over.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().expect("no panic");
    }
    listener.disable();
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(served.load(Ordering::SeqCst), CLIENTS);
}

/// No callback starts after `disable`, even for a connection that was already accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_callback_starts_after_disable() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    listener.set_callback(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let mut clients = Vec::new();
    for round in 0..50 {
        listener.enable().expect("enabled");
        clients.push(connect(listener.local_addr()).await);
        listener.disable();
        within("nothing is left to wait for", listener.idle()).await;
        let before = calls.load(Ordering::SeqCst);
        clients.push(connect(listener.local_addr()).await);
        assert_eq!(calls.load(Ordering::SeqCst), before, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_panics_ends_its_call_alone() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let (sender, mut calls) = mpsc::unbounded_channel();
    let mut first = true;
    listener.set_callback(move |_, _| {
        if std::mem::take(&mut first) {
            panic!("on purpose, to see what comes of it");
        }
        sender.send(()).expect("the test waits for it");
    });
    let _clients = [
        connect(listener.local_addr()).await,
        connect(listener.local_addr()).await,
    ];
    within("the second call", calls.recv()).await.expect("one");
}

/// Closing from inside a callback: the sockets close while it runs, and peers that wait are reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_inside_a_callback_resets_the_peers_that_wait() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(connect(address).await);
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    listener.set_callback(move |listener, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        listener.close();
        // The port is closed although this callback is still running.
        let deadline = std::time::Instant::now() + crate::support::DEADLINE;
        while std::net::TcpStream::connect(address).is_ok() {
            assert!(std::time::Instant::now() < deadline, "the port stays open");
            std::thread::yield_now();
        }
    });
    within("closed", listener.closed()).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(descriptors::bound_to(address), 0);
    let mut resets = 0;
    for mut client in clients {
        match within("the end", client.read(&mut [0])).await {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                resets += 1;
            }
        }
    }
    assert!(resets >= 2, "those in the kernel's queue: {resets}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_listener_says_so() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    listener.close();
    listener.close();
    within("closed", listener.closed()).await;
    assert_eq!(listener.state(), State::Closed);
    let error = listener.enable().expect_err("it is closed");
    assert!(matches!(error, Error::Closed), "{error}");
    listener.disable();
    listener.retry();
    listener.set_callback(|_, _| {});
    assert_eq!(listener.state(), State::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_closes_the_listener() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    let clone = listener.clone();
    let (callback, mut connections) = forward();
    listener.set_callback(callback);
    drop(listener);
    let _client = connect(address).await;
    let kept = within("a connection", connections.recv()).await;
    drop(clone);
    within("the port closes", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Connections that were delivered stay open.
    let mut kept = kept.expect("one");
    kept.write_all(b"x").await.expect("it lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binding_fails_with_what_is_wrong() {
    let _open = unchanged();
    let taken = listen(LOCALHOST).await;
    let cases = [
        (taken.local_addr(), ErrorCode::AddressInUse),
        (address("203.0.113.1:0"), ErrorCode::AddressNotBindable),
        (address("224.0.0.1:0"), ErrorCode::InvalidArgument),
        (address("255.255.255.255:0"), ErrorCode::InvalidArgument),
        (address("[::ffff:127.0.0.1]:0"), ErrorCode::InvalidArgument),
        (address("[ff02::1]:0"), ErrorCode::InvalidArgument),
    ];
    for (address, expected) in cases {
        match Listener::bind(host(), address).await {
            Err(Error::Socket(code)) => assert_eq!(code, expected, "{address}"),
            other => panic!("{address}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_that_make_no_sense_are_refused() {
    let _open = unchanged();
    let builders = [
        Listener::builder(host()).backlog(0),
        Listener::builder(host()).ipv6_only(true),
    ];
    for builder in builders {
        match builder.bind(SocketAddr::new(LOCALHOST, 0)).await {
            Err(Error::Socket(ErrorCode::InvalidArgument)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A port whose connections are in TIME_WAIT can be bound again (`LEV_OPT_REUSEABLE`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_time_wait_can_be_bound_again() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    let (callback, mut connections) = forward();
    listener.set_callback(callback);
    let mut client = connect(address).await;
    // The listener's side ends first: TIME_WAIT is on its port.
    drop(within("a connection", connections.recv()).await);
    within("the end", client.read(&mut [0]))
        .await
        .expect("ended");
    drop(client);
    listener.close();
    within("closed", listener.closed()).await;
    Listener::bind(host(), address).await.expect("bound again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_waits_for_the_closure_that_is_running() {
    let _open = unchanged();
    let listener = listen(LOCALHOST).await;
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (sender, mut started) = mpsc::unbounded_channel();
    listener.set_callback(move |listener, _| {
        listener.disable();
        sender.send(()).expect("the test waits for it");
        gone.recv_timeout(crate::support::DEADLINE)
            .expect("told to go on");
    });
    let _client = connect(listener.local_addr()).await;
    within("the closure starts", started.recv())
        .await
        .expect("it does");
    tokio::time::timeout(Duration::from_millis(50), listener.idle())
        .await
        .expect_err("the closure is running");
    go.send(()).expect("it waits");
    within("nothing is left to wait for", listener.idle()).await;
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a literal address")
}
