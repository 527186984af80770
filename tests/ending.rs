//! How connections end: one that is served ends with a FIN, after everything that was written; one that
//! fails or is killed ends with a reset, so that the peer knows that it has not received everything.

use crate::support::{
    Server, TEST_GUEST, connect, host, listen, over_both_families, read_line, within,
};
use evconn::Limits;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

over_both_families!(
    a_handler_that_returns_ends_in_fin,
    a_handler_that_gives_up_ends_in_rst,
    a_guest_that_traps_ends_in_rst,
    the_outcome_decides_whatever_was_dropped_before,
    an_exit_ends_like_a_return_or_an_error,
    a_guest_that_goes_on_holds_back_the_end,
    what_is_unsent_is_sent_before_the_reset,
    a_guest_that_takes_too_much_memory_ends_in_rst,
    a_connection_that_the_shutdown_ends_gets_rst,
    what_nobody_has_read_does_not_make_it_a_reset,
    what_is_unsent_is_sent_after_the_instance_is_gone,
    what_is_unsent_is_sent_while_the_guest_waits_for_an_answer,
    what_is_unsent_when_the_shutdown_ends_it_is_dropped,
    a_native_connection_that_is_dropped_ends_in_fin,
    a_native_connection_can_be_reset,
);

/// What the peer reads up to the end, or how it ends otherwise.
async fn to_the_end(peer: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut answer = Vec::new();
    within("the end", peer.read_to_end(&mut answer))
        .await
        .map(|_| answer)
        .map_err(|error| error.kind())
}

async fn answer_to(ip: IpAddr, request: &[u8], limits: Limits) -> Result<Vec<u8>, ErrorKind> {
    let server = Server::start(ip, TEST_GUEST, limits).await;
    let mut peer = server.connect().await;
    peer.write_all(request).await.expect("sent");
    let answer = to_the_end(&mut peer).await;
    server.stop().await;
    answer
}

async fn a_handler_that_returns_ends_in_fin(ip: IpAddr) {
    let answer = answer_to(ip, b"grow 1\n", Limits::default()).await;
    assert_eq!(answer, Ok(b"grown\n".to_vec()));
}

async fn a_handler_that_gives_up_ends_in_rst(ip: IpAddr) {
    let answer = answer_to(ip, b"error\n", Limits::default()).await;
    assert_eq!(answer, Err(ErrorKind::ConnectionReset));
}

/// What a peer gets for `end HOW half of it`.
async fn half_of_it(ip: IpAddr, how: &str) -> (Vec<u8>, Option<ErrorKind>) {
    let server = Server::start(ip, TEST_GUEST, Limits::default()).await;
    let mut peer = server.connect().await;
    let request = format!("end {how} half of it\n");
    peer.write_all(request.as_bytes()).await.expect("sent");
    let answer = all_and_the_end(&mut peer).await;
    server.stop().await;
    answer
}

/// What the peer reads, and the error that it ends with, if it does.
async fn all_and_the_end(peer: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut answer = Vec::new();
    let end = within("the end", peer.read_to_end(&mut answer)).await;
    (answer, end.err().map(|error| error.kind()))
}

fn half(end: Option<ErrorKind>) -> (Vec<u8>, Option<ErrorKind>) {
    (b"half of it".to_vec(), end)
}

async fn the_outcome_decides_whatever_was_dropped_before(ip: IpAddr) {
    let reset = Some(ErrorKind::ConnectionReset);
    for (how, end) in [
        ("drop-and-return", None),
        ("drop-and-give-up", reset),
        ("drop-and-trap", reset),
        ("give-up", reset),
    ] {
        assert_eq!(half_of_it(ip, how).await, half(end), "{how}");
    }
}

async fn an_exit_ends_like_a_return_or_an_error(ip: IpAddr) {
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(half_of_it(ip, "exit").await, half(None));
    assert_eq!(half_of_it(ip, "exit-with-failure").await, half(reset));
}

/// Nor does it end while the guest continues to run, unless the guest shuts it down.
async fn a_guest_that_goes_on_holds_back_the_end(ip: IpAddr) {
    let server = with_no_grace(ip).await;
    let mut peers = Vec::new();
    for how in ["drop-and-go-on", "shutdown-and-go-on"] {
        let mut peer = server.connect().await;
        let request = format!("end {how} half of it\n");
        peer.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = [0; 10];
        within("an answer", peer.read_exact(&mut answer))
            .await
            .expect("half of it");
        peers.push(peer);
    }
    assert_eq!(to_the_end(&mut peers[1]).await, Ok(vec![]));
    // It would have arrived by now.
    let nothing = peers[0].try_read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    assert_eq!(server.stop().await.killed, 2);
    assert_eq!(
        to_the_end(&mut peers[0]).await,
        Err(ErrorKind::ConnectionReset)
    );
}

/// The reset loses neither the bytes that the kernel has nor those that it has not taken yet.
async fn what_is_unsent_is_sent_before_the_reset(ip: IpAddr) {
    let server = Server::start(ip, TEST_GUEST, Limits::default()).await;
    for command in ["burst-and-give-up", "burst-and-trap"] {
        let mut peer = narrow(&server).await;
        let request = format!("{command} 65536\n");
        peer.write_all(request.as_bytes()).await.expect("sent");
        within("readable", peer.readable()).await.expect("readable");
        let (answer, end) = all_and_the_end(&mut peer).await;
        assert_eq!(answer.len(), 65536, "{command}");
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "{command}");
    }
    server.stop().await;
}

async fn a_guest_that_traps_ends_in_rst(ip: IpAddr) {
    let answer = answer_to(ip, b"trap\n", Limits::default()).await;
    assert_eq!(answer, Err(ErrorKind::ConnectionReset));
}

async fn a_guest_that_takes_too_much_memory_ends_in_rst(ip: IpAddr) {
    let limits = Limits {
        max_memory: 8 << 20,
        ..Limits::default()
    };
    let answer = answer_to(ip, b"grow 16000000\n", limits).await;
    assert_eq!(answer, Err(ErrorKind::ConnectionReset));
}

async fn a_connection_that_the_shutdown_ends_gets_rst(ip: IpAddr) {
    let server = with_no_grace(ip).await;
    let mut peer = server.connect().await;
    peer.write_all(b"spin\n").await.expect("sent");
    assert_eq!(within("a line", read_line(&mut peer)).await, "spinning\n");
    assert_eq!(server.stop().await.killed, 1);
    assert_eq!(to_the_end(&mut peer).await, Err(ErrorKind::ConnectionReset));
}

async fn with_no_grace(ip: IpAddr) -> Server {
    Server::start_with_grace(ip, TEST_GUEST, Limits::default(), Duration::ZERO).await
}

/// The kernel resets a connection that is closed with bytes in it that nobody has read.
async fn what_nobody_has_read_does_not_make_it_a_reset(ip: IpAddr) {
    let server = Server::start(ip, TEST_GUEST, Limits::default()).await;
    let mut request = b"env\n".to_vec();
    request.resize(100_000, b'x');
    for _ in 0..20 {
        let mut peer = server.connect().await;
        peer.write_all(&request).await.expect("sent");
        assert_eq!(to_the_end(&mut peer).await, Ok(vec![]));
    }
    server.stop().await;
}

/// Connects a peer with a small receive buffer.
async fn narrow(server: &Server) -> TcpStream {
    let socket = match server.address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let connecting = socket.connect(server.address);
    within("connected", connecting).await.expect("connected")
}

async fn what_is_unsent_is_sent_after_the_instance_is_gone(ip: IpAddr) {
    let server = Server::start(ip, TEST_GUEST, Limits::default()).await;
    let mut peer = narrow(&server).await;
    peer.write_all(b"burst 65536\n").await.expect("sent");
    // It has something to read while most of it cannot be sent yet.
    within("readable", peer.readable()).await.expect("readable");
    let answer = to_the_end(&mut peer).await.expect("a regular end");
    assert_eq!(answer.len(), 65536);
    server.stop().await;
}

/// A guest that has written does not have to flush.
async fn what_is_unsent_is_sent_while_the_guest_waits_for_an_answer(ip: IpAddr) {
    let server = Server::start(ip, TEST_GUEST, Limits::default()).await;
    let mut peer = narrow(&server).await;
    peer.write_all(b"answer 65536\n").await.expect("sent");
    let mut answer = vec![0; 65536];
    within("all of it", peer.read_exact(&mut answer))
        .await
        .expect("read");
    peer.write_all(b"x").await.expect("sent");
    assert_eq!(to_the_end(&mut peer).await, Ok(b"thanks\n".to_vec()));
    server.stop().await;
}

async fn what_is_unsent_when_the_shutdown_ends_it_is_dropped(ip: IpAddr) {
    let server = with_no_grace(ip).await;
    let mut peer = narrow(&server).await;
    peer.write_all(b"burst 65536\n").await.expect("sent");
    within("readable", peer.readable()).await.expect("readable");
    assert_eq!(server.stop().await.killed, 1);
    assert_eq!(to_the_end(&mut peer).await, Err(ErrorKind::ConnectionReset));
}

async fn a_native_connection_that_is_dropped_ends_in_fin(ip: IpAddr) {
    let _host = host();
    let listener = listen(ip).await;
    listener.set_callback(|_, connection| drop(connection));
    let mut peer = connect(listener.local_addr()).await;
    assert_eq!(to_the_end(&mut peer).await, Ok(vec![]));
}

async fn a_native_connection_can_be_reset(ip: IpAddr) {
    let listener = listen(ip).await;
    let (sender, mut taken) = mpsc::unbounded_channel();
    listener.set_callback(move |_, connection| sender.send(connection).expect("waited for"));
    let mut peer = connect(listener.local_addr()).await;
    within("a connection", taken.recv())
        .await
        .expect("one")
        .reset();
    assert_eq!(to_the_end(&mut peer).await, Err(ErrorKind::ConnectionReset));
}
