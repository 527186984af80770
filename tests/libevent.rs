//! libevent's own tests of its listener, under their own names.

use crate::support::child::{self, Child};
use crate::support::descriptors::unchanged;
use crate::support::{
    connect, descriptors, host, limit, listen, over_both_families, wait_for_close, within,
};
use evconn::{Connection, ErrorCode, Listener, Recovery, State, StopReason};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

over_both_families!(
    randport,
    error,
    close_accepted_fd,
    immediate_close,
    enable_when_enabled,
    both_of_two_clients_are_served,
    accept_one_and_disable,
    armed_by_set_callback,
    three_accepts,
    disable_in_thread,
    disable_in_thread_error,
);

/// A callback that counts down, and disables its listener at 0.
fn count_down(count: &Arc<AtomicUsize>) -> impl FnMut(&Listener, Connection) + Send + 'static {
    let count = Arc::clone(count);
    move |listener, _connection| {
        if count.fetch_sub(1, Ordering::SeqCst) == 1 {
            listener.disable();
        }
    }
}

/// Two listeners on port 0 get ports of their own, and count two clients and one.
async fn randport(ip: IpAddr) {
    let counts = [2, 1].map(|count| Arc::new(AtomicUsize::new(count)));
    let listeners = [listen(ip).await, listen(ip).await];
    let addresses = listeners.each_ref().map(Listener::local_addr);
    assert_ne!(addresses[0].port(), addresses[1].port());
    for (listener, count) in listeners.iter().zip(&counts) {
        assert!(listener.local_addr().ip().is_loopback());
        assert_ne!(listener.local_addr().port(), 0);
        listener.set_callback(count_down(count));
    }

    let _clients = [
        connect(addresses[0]).await,
        connect(addresses[0]).await,
        connect(addresses[1]).await,
    ];

    for (listener, count) in listeners.iter().zip(&counts) {
        within("nothing is left to wait for", listener.idle()).await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
        assert_eq!(listener.state(), State::Disabled);
    }
}

/// Accepts fails: the error callback is called, the connection callback is not.
async fn error(ip: IpAddr) {
    let (sender, mut errors) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let listener = Listener::builder(host())
        .on_connection(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .on_error(move |listener, error| {
            listener.disable();
            sender.send(error).expect("the test waits for it");
        })
        .bind(SocketAddr::new(ip, 0))
        .await
        .expect("a listener");

    descriptors::break_listening(listener.local_addr());

    let error = within("the error callback", errors.recv())
        .await
        .expect("an error");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert_eq!(error.recovery, Recovery::Stopped);
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(
        listener.state(),
        State::Stopped(StopReason::Socket(ErrorCode::InvalidArgument))
    );
    assert!(listener.enable().is_err(), "it has stopped for good");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    assert_eq!(listener.stats().fatal_errors, 1);
    assert!(errors.try_recv().is_err(), "one error, one event");
}

/// The callback closes its connection and then its listener: nothing is left open.
async fn close_accepted_fd(ip: IpAddr) {
    let listener = listen(ip).await;
    let address = listener.local_addr();
    listener.set_callback(|listener, connection| {
        drop(connection);
        listener.close();
    });
    let mut client = connect(address).await;
    within("the listener closes", listener.closed()).await;
    let mut rest = Vec::new();
    within("the end", client.read_to_end(&mut rest))
        .await
        .expect("a clean end");
    assert_eq!(rest, b"");
    assert_eq!(listener.state(), State::Closed);
    assert_eq!(descriptors::bound_to(address), 0);
    TcpStream::connect(address)
        .await
        .expect_err("nobody listens");
}

/// Two clients wait, the first callback disables: the second one stays queued.
async fn immediate_close(ip: IpAddr) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = listen(ip).await;
    let address = listener.local_addr();
    let _clients = [connect(address).await, connect(address).await];

    let counted = Arc::clone(&calls);
    listener.set_callback(move |listener, connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        drop(connection);
        listener.disable();
    });
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    // It was not refused, and is delivered after the listener is enabled again.
    listener.enable().expect("enabled");
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// From here on: the other tests of its suite that concern the listener.
async fn enable_when_enabled(ip: IpAddr) {
    let count = Arc::new(AtomicUsize::new(1));
    let listener = listen(ip).await;
    listener.set_callback(count_down(&count));
    listener.enable().expect("enabled");
    listener.enable().expect("enabled when enabled");
    let _client = connect(listener.local_addr()).await;
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

async fn both_of_two_clients_are_served(ip: IpAddr) {
    let listener = listen(ip).await;
    listener.set_async_callback(|_, mut connection| async move {
        connection.write_all(b"served").await.expect("written");
    });
    for _ in 0..2 {
        let mut client = connect(listener.local_addr()).await;
        let mut text = String::new();
        within("an answer", client.read_to_string(&mut text))
            .await
            .expect("received");
        assert_eq!(text, "served");
    }
}

async fn accept_one_and_disable(ip: IpAddr) {
    accept(1, ip).await;
}

async fn three_accepts(ip: IpAddr) {
    accept(3, ip).await;
}

/// Accepts as many, disable, and nothing is left to wait for.
async fn accept(clients: usize, ip: IpAddr) {
    let count = Arc::new(AtomicUsize::new(clients));
    let listener = listen(ip).await;
    listener.set_callback(count_down(&count));
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(connect(listener.local_addr()).await);
    }
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(listener.stats().accepted, clients as u64);
}

/// Made without a callback: nothing is accepted before there is one.
async fn armed_by_set_callback(ip: IpAddr) {
    let listener = listen(ip).await;
    let _client = connect(listener.local_addr()).await;
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(listener.stats().accepted, 0);
    let count = Arc::new(AtomicUsize::new(1));
    listener.set_callback(count_down(&count));
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// The callback has another thread disable the listener, and waits for it: nothing hangs.
async fn disable_in_thread(ip: IpAddr) {
    let (sender, mut calls) = mpsc::unbounded_channel();
    let listener = listen(ip).await;
    listener.set_callback(move |listener, _connection| {
        disable_elsewhere(listener);
        sender.send(()).expect("the test waits for it");
    });
    let _clients = [
        connect(listener.local_addr()).await,
        connect(listener.local_addr()).await,
    ];
    within("the callback", calls.recv()).await.expect("a call");
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(listener.state(), State::Disabled);
    assert!(calls.try_recv().is_err(), "the second client stays queued");
}

/// The same in the error callback, for an error that leaves the listener enabled: no descriptor is left,
/// and it would try again.
async fn disable_in_thread_error(ip: IpAddr) {
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    let name = format!("libevent::child_of_disable_in_thread_error_{family}");
    let mut child = Child::of_test(&name);
    let address = child.hear("listening").parse().expect("an address");
    // Each attempt to accept it fails.
    let mut client = connect(address).await;
    child.hear("disabled");
    // It is enabled again, and has descriptors.
    wait_for_close(&mut client).await;
    child.hear("accepted");
    child.dismiss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_of_disable_in_thread_error_ipv4() {
    disabled_in_its_error_callback(std::net::Ipv4Addr::LOCALHOST.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_of_disable_in_thread_error_ipv6() {
    disabled_in_its_error_callback(std::net::Ipv6Addr::LOCALHOST.into()).await;
}

async fn disabled_in_its_error_callback(ip: IpAddr) {
    if !child::is_one() {
        return;
    }
    let listener = listen(ip).await;
    let (sender, mut errors) = mpsc::unbounded_channel();
    listener.set_error_callback(move |listener, error| {
        assert!(matches!(listener.state(), State::BackingOff(_)));
        disable_elsewhere(listener);
        sender.send(error).expect("the test waits for it");
    });
    let (sender, mut accepted) = mpsc::unbounded_channel();
    listener.set_callback(move |_, connection| {
        drop(connection);
        sender.send(()).expect("the test waits for it");
    });
    let none_left = limit::NoMoreDescriptors::new();
    child::say(format_args!("listening {}", listener.local_addr()));
    let error = within("the error callback", errors.recv()).await;
    let recovery = error.expect("an error").recovery;
    assert!(matches!(recovery, Recovery::Retrying(_)), "{recovery:?}");
    within("nothing is left to wait for", listener.idle()).await;
    assert_eq!(listener.state(), State::Disabled);
    assert!(errors.try_recv().is_err(), "it does not try again");
    drop(none_left);
    child::say("disabled");
    listener.enable().expect("it has not stopped");
    within("a connection", accepted.recv()).await;
    child::say("accepted");
    child::dismissed().await;
}

fn disable_elsewhere(listener: &Listener) {
    let listener = listener.clone();
    let thread = std::thread::spawn(move || listener.disable());
    thread.join().expect("no panic in the thread");
}

/// No descriptor is left, a peer waits, and no error callback is set: nothing hangs, and the
/// listener can still be closed, and dropped.
#[tokio::test]
async fn error_unlock() {
    let _open = unchanged();
    let mut child = Child::of_test("libevent::child_of_error_unlock");
    for _ in ["closed", "dropped"] {
        let address = child.hear("listening").parse().expect("an address");
        let mut client = connect(address).await;
        child.hear("exhausted");
        // It was never accepted: it is reset.
        let end = within("the end", client.read(&mut [0])).await;
        let end = end.expect_err("a reset");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }
    child.dismiss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_of_error_unlock() {
    if !child::is_one() {
        return;
    }
    let ip = std::net::Ipv4Addr::LOCALHOST.into();
    let [closed, dropped] = [listen(ip).await, listen(ip).await];
    limit::leave_room_for(0);

    exhaust(&closed).await;
    closed.close();
    within("the listener closes", closed.closed()).await;

    // The descriptor that the first one has freed cannot be used.
    limit::leave_room_for(0);
    exhaust(&dropped).await;
    drop(dropped);
    child::dismissed().await;
}

/// Waits until accepting has failed twice: the second time is after a backoff.
async fn exhaust(listener: &Listener) {
    listener.set_callback(|_, _| {});
    child::say(format_args!("listening {}", listener.local_addr()));
    within("errors", async {
        while listener.stats().resource_errors < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    child::say("exhausted");
}
