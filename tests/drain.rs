//! `Listener::drain`: waiting peers are served, later ones are refused, and then the listener is closed.

use crate::support::descriptors::{self, unchanged};
use crate::support::scratch::Scratch;
use crate::support::{
    Server, ask, connect, exchange, has_ipv6, host, listen, over_both_families, read_line,
    wait_for_close, within,
};
use evconn::sockets::TcpOptions;
use evconn::{
    Connection, Limits, ListenSource, Listener, ListenerBuilder, Opened, State, UnixSource,
};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

over_both_families!(
    under_load_whoever_got_in_is_served_and_the_others_are_refused,
    who_waits_is_delivered_and_who_comes_later_is_refused,
    it_is_over_at_once_if_nobody_waits,
    a_closure_gets_them_one_after_the_other,
    it_waits_for_permits,
    while_it_is_disabled_they_go_on_waiting,
    a_close_ends_it_early,
    it_ends_if_the_listener_has_stopped,
    what_is_held_is_delivered_with_its_first_byte,
    what_is_held_for_too_long_is_closed_and_ends_it,
    a_handshake_that_is_under_way_is_waited_for,
    a_socket_that_others_have_is_left_to_them,
    two_that_have_one_socket_drain_it_together,
    two_that_have_one_socket_drain_it_under_load,
);

const LONG: Duration = Duration::from_secs(3600);

async fn echo_lines(_listener: Listener, mut connection: Connection) {
    let (mut reader, mut writer) = tokio::io::split(&mut connection);
    // A failure is noticed by the peer.
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    let _ = connection.shutdown().await;
}

/// A callback that passes connections on.
fn collect(builder: ListenerBuilder) -> (ListenerBuilder, mpsc::UnboundedReceiver<Connection>) {
    let (sender, connections) = mpsc::unbounded_channel();
    let builder = builder.on_connection(move |_, connection| {
        // The test may have ended, and dropped the receiver.
        let _ = sender.send(connection);
    });
    (builder, connections)
}

async fn refused(address: SocketAddr) {
    let result = within("an answer", TcpStream::connect(address)).await;
    let error = result.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// Connects until that is refused, and sends a byte each time. Returns the connections that were accepted
/// before the acceptor began to drain.
async fn connect_until_refused(address: SocketAddr) -> Vec<TcpStream> {
    let mut got_in = Vec::new();
    loop {
        match TcpStream::connect(address).await {
            Ok(mut stream) => {
                stream.write_all(b"x").await.expect("sent");
                got_in.push(stream);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
                return got_in;
            }
        }
    }
}

async fn closed(listener: &Listener) {
    within("it is closed", listener.closed()).await;
    assert_eq!(listener.state(), State::Closed);
}

/// Connects repeatedly until that is refused. Every connection has to get an answer.
async fn client(address: SocketAddr, served: Arc<AtomicU64>) {
    loop {
        let mut stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
                return;
            }
        };
        let line = format!("{address} {}\n", served.load(Ordering::Relaxed));
        assert_eq!(ask(&mut stream, &line).await, line);
        stream.shutdown().await.expect("ended");
        assert_eq!(stream.read(&mut [0]).await.expect("a regular end"), 0);
        served.fetch_add(1, Ordering::Relaxed);
    }
}

async fn under_load_whoever_got_in_is_served_and_the_others_are_refused(ip: IpAddr) {
    let listener = listen(ip).await;
    listener.set_async_callback(echo_lines);
    let served = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        clients.spawn(client(listener.local_addr(), Arc::clone(&served)));
    }
    within("some are served", async {
        while served.load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    listener.drain();
    closed(&listener).await;
    let all = async {
        while let Some(ended) = clients.join_next().await {
            ended.expect("served")
        }
    };
    within("all clients end", all).await;
    assert_eq!(listener.stats().accepted, served.load(Ordering::Relaxed));
}

async fn who_waits_is_delivered_and_who_comes_later_is_refused(ip: IpAddr) {
    let listener = listen(ip).await;
    let address = listener.local_addr();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(connect(address).await);
    }
    listener.drain();
    listener.drain();
    let late = tokio::spawn(connect_until_refused(address));
    listener.set_async_callback(echo_lines);
    closed(&listener).await;
    let late = within("refused", late).await.expect("refused");
    assert_eq!(listener.stats().accepted, 100 + late.len() as u64);
    for mut stream in late {
        let byte = within("an answer", stream.read_u8()).await;
        assert_eq!(byte.expect("its byte"), b'x');
    }
    // A connection that was accepted after the drain began is like any other.
    let much: Vec<u8> = (0..1_000_000).map(|number| number as u8).collect();
    for stream in waiting {
        assert!(exchange(stream, &much).await == much);
    }
    refused(address).await;
}

async fn it_is_over_at_once_if_nobody_waits(ip: IpAddr) {
    let listener = listen(ip).await;
    let kept = Arc::new(());
    let captured = (Arc::downgrade(&kept), listener.clone());
    listener.set_async_callback(move |_, _| {
        let _captured = (&kept, &captured.1);
        async {}
    });
    listener.drain();
    closed(&listener).await;
    assert!(captured_is_gone(&captured.0), "the callback is dropped");
    listener.drain();
    refused(listener.local_addr()).await;
}

async fn a_closure_gets_them_one_after_the_other(ip: IpAddr) {
    let listener = listen(ip).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(connect(listener.local_addr()).await);
    }
    let (sender, mut connections) = mpsc::unbounded_channel();
    listener.set_callback(move |listener, connection| {
        // From within, and again and again.
        listener.drain();
        // The test may have ended.
        let _ = sender.send(connection);
    });
    closed(&listener).await;
    for stream in waiting {
        let connection = within("a connection", connections.recv()).await;
        let peer = connection.expect("one").peer_addr();
        assert_eq!(peer, stream.local_addr().expect("its address"));
    }
    assert!(connections.recv().await.is_none(), "the closure is gone");
}

async fn it_waits_for_permits(ip: IpAddr) {
    let limits = Limits {
        max_connections: 2,
        ..Limits::default()
    };
    let server = Server::start(ip, evconn::guests::ECHO, limits).await;
    let mut peers = Vec::new();
    for _ in 0..8 {
        peers.push(server.connect().await);
    }
    for peer in &mut peers[..2] {
        assert_eq!(ask(peer, "one\n").await, "one\n");
    }
    let listener = server.listener.clone();
    listener.drain();
    for (number, mut peer) in peers.into_iter().enumerate() {
        assert_ne!(
            listener.state(),
            State::Closed,
            "{number} is not served yet"
        );
        assert_eq!(ask(&mut peer, "two\n").await, "two\n");
    }
    closed(&listener).await;
    assert_eq!(listener.stats().accepted, 8);
}

async fn while_it_is_disabled_they_go_on_waiting(ip: IpAddr) {
    let (builder, mut connections) = collect(Listener::builder(host()).enabled(false));
    let listener = builder.bind(SocketAddr::new(ip, 0)).await.expect("one");
    let mut peer = connect(listener.local_addr()).await;
    listener.drain();
    // The acceptor has begun to drain by the time it is enabled; only connections are delivered.
    listener.enable().expect("it is not closed");
    let mut connection = within("a connection", connections.recv())
        .await
        .expect("one");
    closed(&listener).await;
    connection.write_all(b"hello\n").await.expect("sent");
    assert_eq!(read_line(&mut peer).await, "hello\n");
}

async fn a_close_ends_it_early(ip: IpAddr) {
    let listener = listen(ip).await;
    let mut waiting = connect(listener.local_addr()).await;
    listener.drain();
    assert_eq!(listener.state(), State::Paused);
    listener.close();
    closed(&listener).await;
    wait_for_close(&mut waiting).await;
    assert_eq!(listener.stats().accepted, 0);
}

async fn it_ends_if_the_listener_has_stopped(ip: IpAddr) {
    let listener = listen(ip).await;
    listener.set_async_callback(echo_lines);
    descriptors::break_listening(listener.local_addr());
    within("it stops", async {
        while !matches!(listener.state(), State::Stopped(_)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    listener.drain();
    within("it is closed", listener.closed()).await;
    assert_eq!(descriptors::bound_to(listener.local_addr()), 0);
}

async fn what_is_held_is_delivered_with_its_first_byte(ip: IpAddr) {
    let builder = Listener::builder(host()).deferred_accept(8, LONG);
    let (builder, mut connections) = collect(builder);
    let listener = builder.bind(SocketAddr::new(ip, 0)).await.expect("one");
    let mut peer = connect(listener.local_addr()).await;
    within("held", async {
        while listener.stats().held == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    listener.drain();
    let late = tokio::spawn(connect_until_refused(listener.local_addr()));
    tokio::task::yield_now().await;
    assert_ne!(listener.state(), State::Closed);
    peer.write_all(b"x").await.expect("sent");
    let connection = within("a connection", connections.recv()).await;
    assert_eq!(connection.expect("one").read_u8().await.expect("x"), b'x');
    closed(&listener).await;
    let late = within("refused", late).await.expect("refused");
    assert_eq!(listener.stats().accepted, 1 + late.len() as u64);
}

async fn what_is_held_for_too_long_is_closed_and_ends_it(ip: IpAddr) {
    let held = Duration::from_millis(50);
    let (builder, _connections) = collect(Listener::builder(host()).deferred_accept(1, held));
    let listener = builder.bind(SocketAddr::new(ip, 0)).await.expect("one");
    // As many as are not held at a time.
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(connect(listener.local_addr()).await);
    }
    listener.drain();
    closed(&listener).await;
    for peer in &mut peers {
        wait_for_close(peer).await;
    }
    assert_eq!(listener.stats().timed_out, 3);
}

/// With TCP_DEFER_ACCEPT, the kernel keeps a handshake incomplete although the client's side is done.
async fn a_handshake_that_is_under_way_is_waited_for(ip: IpAddr) {
    let mut options = TcpOptions::default();
    options.defer_accept = Some(Duration::from_secs(60));
    let listener = Listener::builder(host())
        .tcp_options(options)
        .on_connection_async(echo_lines)
        .bind(SocketAddr::new(ip, 0))
        .await
        .expect("a listener");
    let mut peer = connect(listener.local_addr()).await;
    listener.drain();
    closed(&listener).await;
    assert_eq!(listener.stats().accepted, 1);
    assert_eq!(ask(&mut peer, "hello\n").await, "hello\n");
}

async fn a_socket_that_others_have_is_left_to_them(ip: IpAddr) {
    let theirs = std::net::TcpListener::bind((ip, 0)).expect("a socket");
    let address = theirs.local_addr().expect("its address");
    let opened = Opened::Tcp {
        listener: theirs.try_clone().expect("another descriptor"),
        shared: true,
    };
    let (builder, mut connections) = collect(Listener::builder(host()).enabled(false));
    let listener = builder.listen(opened).await.expect("a listener");
    let _waiting = connect(address).await;
    listener.drain();
    listener.enable().expect("it is not closed");
    closed(&listener).await;
    assert!(connections.recv().await.is_none(), "it was not taken");
    let _late = connect(address).await;
    theirs.set_nonblocking(false).expect("it may block");
    for _ in 0..2 {
        theirs.accept().expect("they wait");
    }
}

/// Opens a socket that is to be passed on.
fn opened(source: &ListenSource) -> Opened {
    let backlog = NonZeroU32::new(4096).expect("not 0");
    let listening = source.listen(&TcpOptions::default(), backlog);
    listening.expect("one").remove(0).sockets.remove(0)
}

/// Two listeners with a descriptor each of one socket, as two processes have it. They are disabled.
async fn two_of(opened: &Opened) -> [Listener; 2] {
    let builder = Listener::builder(host())
        .enabled(false)
        .on_connection_async(echo_lines);
    let one = || async {
        let socket = opened.socket().expect("it listens").try_clone_to_owned();
        let copy = Opened::from_fd(socket.expect("another descriptor")).expect("it listens");
        let listener = builder.clone().listen(copy.shared(false)).await;
        listener.expect("a listener")
    };
    [one().await, one().await]
}

fn accepted(listeners: &[Listener]) -> u64 {
    listeners.iter().map(|one| one.stats().accepted).sum()
}

async fn two_that_have_one_socket_drain_it_together(ip: IpAddr) {
    let both = two_of(&opened(&ListenSource::Address(SocketAddr::new(ip, 0)))).await;
    let address = both[0].local_addr();
    let mut waiting = Vec::new();
    for _ in 0..200 {
        waiting.push(connect(address).await);
    }
    both.iter().for_each(Listener::drain);
    for listener in &both {
        listener.enable().expect("it is not closed");
    }
    for listener in &both {
        closed(listener).await;
    }
    assert_eq!(accepted(&both), 200);
    for stream in &mut waiting {
        assert_eq!(ask(stream, "hello\n").await, "hello\n");
    }
    refused(address).await;
}

async fn two_that_have_one_socket_drain_it_under_load(ip: IpAddr) {
    let both = two_of(&opened(&ListenSource::Address(SocketAddr::new(ip, 0)))).await;
    for listener in &both {
        listener.enable().expect("it is not closed");
    }
    let served = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        clients.spawn(client(both[0].local_addr(), Arc::clone(&served)));
    }
    within("both serve", async {
        while both.iter().any(|listener| listener.stats().accepted < 50) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Not at once, as signals do not reach two processes at once.
    both[0].drain();
    within("it is closed", both[0].closed()).await;
    both[1].drain();
    closed(&both[1]).await;
    let all = async {
        while let Some(ended) = clients.join_next().await {
            ended.expect("served")
        }
    };
    within("all clients end", all).await;
    assert_eq!(accepted(&both), served.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_have_one_unix_socket_drain_it_together() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let opened = opened(&ListenSource::Unix(UnixSource::path(&path)));
    let both = two_of(&opened).await;
    let name = opened.to_string();
    assert!(both.iter().all(|listener| listener.name() == name));
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(UnixStream::connect(&path).await.expect("connected"));
    }
    // Its file goes with what made it.
    drop(opened);
    assert!(!path.exists());
    both.iter().for_each(Listener::drain);
    for listener in &both {
        listener.enable().expect("it is not closed");
    }
    for listener in &both {
        closed(listener).await;
    }
    assert_eq!(accepted(&both), 100);
    for stream in &mut waiting {
        stream.write_all(b"hello").await.expect("sent");
        let mut answer = [0; 5];
        let answered = within("an answer", stream.read_exact(&mut answer)).await;
        answered.expect("five bytes");
        assert_eq!(&answer, b"hello");
    }
}

fn captured_is_gone(captured: &std::sync::Weak<()>) -> bool {
    captured.upgrade().is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_of_a_dual_stack_listener_are_drained() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let listener = Listener::builder(host())
        .dual_stack(true)
        .bind(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0))
        .await
        .expect("a listener");
    let mut waiting = Vec::new();
    for _ in 0..20 {
        for address in listener.local_addrs() {
            waiting.push(connect(*address).await);
        }
    }
    listener.drain();
    listener.set_async_callback(echo_lines);
    closed(&listener).await;
    for stream in &mut waiting {
        assert_eq!(ask(stream, "hello\n").await, "hello\n");
    }
    for address in listener.local_addrs() {
        refused(*address).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_path_of_a_unix_socket_goes_first_and_who_waits_is_delivered() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let source = ListenSource::Unix(UnixSource::path(&path));
    let listeners = Listener::listen(host(), &source).await.expect("a listener");
    let listener = &listeners[0];
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(UnixStream::connect(&path).await.expect("connected"));
    }
    listener.drain();
    within("the path goes", async {
        while path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // They are still waiting, and the path is free for another listener.
    let next = Listener::listen(host(), &source).await.expect("the next");
    listener.set_async_callback(echo_lines);
    closed(listener).await;
    for stream in &mut waiting {
        stream.write_all(b"hello").await.expect("sent");
        let mut answer = [0; 5];
        within("an answer", stream.read_exact(&mut answer))
            .await
            .expect("five bytes");
        assert_eq!(&answer, b"hello");
    }
    assert!(path.exists(), "the path of the next one stays");
    next[0].close();
    closed(&next[0]).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abstract_name_refuses_and_who_waits_is_delivered() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let _open = unchanged();
    let name = format!("evconn-drain-{}", std::process::id());
    let source = ListenSource::Unix(UnixSource::abstract_name(&name));
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let listeners = Listener::listen(host(), &source).await.expect("a listener");
    let _waiting = UnixStream::connect_addr(&address).expect("connected");
    listeners[0].drain();
    let (sender, mut connections) = mpsc::unbounded_channel();
    within("it is refused", async {
        while let Ok(got_in) = UnixStream::connect_addr(&address) {
            // It connected before the acceptor began to drain, and is in the queue like the first one.
            drop(got_in);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_ne!(listeners[0].state(), State::Closed);
    listeners[0].set_callback(move |_, connection| {
        // The test has seen enough when it has seen one.
        let _ = sender.send(connection);
    });
    closed(&listeners[0]).await;
    assert!(connections.recv().await.is_some());
}

/// A peer connects at a time, for as long as it takes to drain the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_one_may_take_its_time() {
    let _open = unchanged();
    let listener = listen(Ipv4Addr::LOCALHOST.into()).await;
    let go_on = Arc::new(Notify::new());
    let going = Arc::clone(&go_on);
    listener.set_async_callback(move |listener, mut connection| {
        let going = Arc::clone(&going);
        async move {
            going.notified().await;
            closed(&listener).await;
            connection.write_all(b"last\n").await.expect("sent");
        }
    });
    let mut peer = connect(listener.local_addr()).await;
    listener.drain();
    closed(&listener).await;
    go_on.notify_one();
    assert_eq!(read_line(&mut peer).await, "last\n");
}
