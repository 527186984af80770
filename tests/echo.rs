//! The echo services: every byte comes back, in order, whether it goes through the guest's memory or not.

use crate::support::descriptors::unchanged;
use crate::support::{Server, ask, exchange, pattern, reset, wait_for_close, within};
use evconn::{Limits, guests};
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Defines tests of both echo services: async functions that take the address and the service.
macro_rules! of_both_services {
    ($($name:ident),* $(,)?) => {
        mod spliced {
            use evconn::guests::ECHO;

            $(async fn $name(ip: std::net::IpAddr) {
                super::$name(ip, ECHO).await;
            })*
            crate::support::over_both_families!($($name),*);
        }
        mod copied {
            use crate::support::ECHO_COPY;

            $(async fn $name(ip: std::net::IpAddr) {
                super::$name(ip, ECHO_COPY).await;
            })*
            crate::support::over_both_families!($($name),*);
        }
    };
}

of_both_services!(
    every_size_comes_back,
    many_small_writes_come_back_in_order,
    two_hundred_clients_at_once,
    half_close_is_answered,
    a_reset_in_mid_stream_ends_that_connection_alone,
    a_peer_that_reads_late_gets_everything,
);

async fn start(ip: IpAddr, echo: &[u8]) -> Server {
    Server::start(ip, echo, Limits::default()).await
}

async fn every_size_comes_back(ip: IpAddr, echo: &[u8]) {
    let server = start(ip, echo).await;
    for len in [0, 1, 2, 4095, 4096, 4097, 65_536, 1 << 20, 64 << 20] {
        let sent = pattern(len);
        let received = exchange(server.connect().await, &sent).await;
        assert_eq!(received.len(), len);
        assert!(received == sent, "{len} bytes came back changed");
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.killed), (9, 0));
}

async fn many_small_writes_come_back_in_order(ip: IpAddr, echo: &[u8]) {
    let server = start(ip, echo).await;
    let stream = server.connect().await;
    stream.set_nodelay(true).expect("nodelay");
    let (mut reader, mut writer) = stream.into_split();
    let sent = pattern(20_000);
    let to_send = sent.clone();
    let sending = tokio::spawn(async move {
        for chunk in to_send.chunks(7) {
            writer.write_all(chunk).await.expect("sent");
        }
        writer.shutdown().await.expect("ended");
    });
    let mut received = Vec::new();
    within("the echo", reader.read_to_end(&mut received))
        .await
        .expect("received");
    sending.await.expect("all was sent");
    assert!(received == sent, "the bytes came back changed");
    server.stop().await;
}

async fn two_hundred_clients_at_once(ip: IpAddr, echo: &[u8]) {
    let server = start(ip, echo).await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(server.connect().await);
    }
    // All of them are open, and served, at the same time.
    for (number, stream) in streams.iter_mut().enumerate() {
        let line = format!("client {number}\n");
        assert_eq!(ask(stream, &line).await, line);
    }
    let clients = streams.into_iter().map(|stream| {
        tokio::spawn(async move {
            let sent = pattern(10_000);
            assert!(exchange(stream, &sent).await == sent);
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("the client got its bytes back");
    }
    assert_eq!(server.stop().await.connections, 200);
}

async fn half_close_is_answered(ip: IpAddr, echo: &[u8]) {
    let server = start(ip, echo).await;
    assert_eq!(exchange(server.connect().await, b"x").await, b"x");
    server.stop().await;
}

async fn a_reset_in_mid_stream_ends_that_connection_alone(ip: IpAddr, echo: &[u8]) {
    let server = start(ip, echo).await;
    let mut other = server.connect().await;
    assert_eq!(ask(&mut other, "one\n").await, "one\n");
    let mut victim = server.connect().await;
    assert_eq!(ask(&mut victim, "one\n").await, "one\n");
    within("sending", victim.write_all(&pattern(1 << 20)))
        .await
        .expect("sent");
    reset(victim);
    assert_eq!(ask(&mut other, "two\n").await, "two\n");
    drop(other);
    let served = server.stop().await;
    assert_eq!((served.connections, served.killed), (2, 0));
}

/// The peer sends more than all buffers hold before it reads a byte: the guest waits for it, and
/// nothing is lost.
async fn a_peer_that_reads_late_gets_everything(ip: IpAddr, echo: &[u8]) {
    let server = start(ip, echo).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let sent = pattern(32 << 20);
    let to_send = sent.clone();
    let (blocked, is_blocked) = tokio::sync::oneshot::channel();
    let sending = tokio::spawn(async move {
        let mut blocked = Some(blocked);
        for chunk in to_send.chunks(64 << 10) {
            // Writing that takes this long is blocked by the reader.
            let write = writer.write_all(chunk);
            tokio::pin!(write);
            tokio::select! {
                result = &mut write => { result.expect("sent"); continue; }
                () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
            }
            if let Some(blocked) = blocked.take() {
                blocked.send(()).expect("the reader waits for this");
            }
            write.await.expect("sent");
        }
        writer.shutdown().await.expect("ended");
    });
    within("the sender is held up", is_blocked)
        .await
        .expect("the sender is held up by back-pressure");
    let mut received = Vec::new();
    within("the echo", reader.read_to_end(&mut received))
        .await
        .expect("received");
    sending.await.expect("all was sent");
    assert!(received == sent, "the bytes came back changed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_open_at_the_end_of_grace_are_ended() {
    let _open = unchanged();
    let server = Server::start_with_grace(
        std::net::Ipv4Addr::LOCALHOST.into(),
        guests::ECHO,
        Limits::default(),
        std::time::Duration::from_millis(50),
    )
    .await;
    let mut stream = server.connect().await;
    assert_eq!(ask(&mut stream, "hello\n").await, "hello\n");
    let served = server.stop().await;
    assert_eq!((served.connections, served.killed), (1, 1));
    wait_for_close(&mut stream).await;
}
