//! The failure of a connection affects no other, and a service has access to nothing but its connection.

use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{
    DEADLINE, Server, TEST_GUEST, ask, connect, exchange, host, listen, wait_for_close, within,
};
use evconn::sockets::Policy;
use evconn::{Error, Grants, Limits, Service, Shutdown};
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn start(limits: Limits) -> Server {
    Server::start(LOCALHOST, TEST_GUEST, limits).await
}

/// Returns a connection that is being served, and echoes.
async fn echoing(server: &Server) -> TcpStream {
    let mut stream = server.connect().await;
    assert_eq!(ask(&mut stream, "echo\nhello\n").await, "hello\n");
    stream
}

/// While one connection does what `command` says and is ended for it, another goes on.
async fn ends_alone(command: &str, limits: Limits) {
    let server = start(limits).await;
    let mut other = echoing(&server).await;
    let mut victim = server.connect().await;
    victim.write_all(command.as_bytes()).await.expect("sent");
    wait_for_close(&mut victim).await;
    assert_eq!(ask(&mut other, "still here\n").await, "still here\n");
    drop(echoing(&server).await);
    drop(other);
    let served = server.stop().await;
    assert_eq!(
        (served.connections, served.failed, served.killed),
        (3, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_ends_its_connection_alone() {
    let _open = unchanged();
    ends_alone("trap\n", Limits::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_dropped_before_its_streams_ends_its_connection_alone() {
    let _open = unchanged();
    ends_alone("drop-socket-first\n", Limits::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_poll_ends_its_connection_alone() {
    let _open = unchanged();
    ends_alone("poll-nothing\n", Limits::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_ends_its_connection_alone() {
    let _open = unchanged();
    ends_alone("error it was the guest\n", Limits::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_beyond_its_memory_ends_its_connection_alone() {
    let _open = unchanged();
    let limits = Limits {
        max_memory: 8 << 20,
        ..Limits::default()
    };
    ends_alone("grow 16000000\n", limits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_within_its_memory_is_served() {
    let _open = unchanged();
    let limits = Limits {
        max_memory: 24 << 20,
        ..Limits::default()
    };
    let server = start(limits).await;
    assert_eq!(
        exchange(server.connect().await, b"grow 16000000\n").await,
        b"grown\n"
    );
    server.stop().await;
}

/// More guests spin than the runtime has threads, and others are served all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_that_spin_do_not_stop_others() {
    let _open = unchanged();
    let server = Server::start_with_grace(
        LOCALHOST,
        TEST_GUEST,
        Limits::default(),
        std::time::Duration::from_millis(50),
    )
    .await;
    let mut spinners = Vec::new();
    for _ in 0..4 {
        let mut spinner = server.connect().await;
        // The answer comes just before it begins to spin.
        assert_eq!(ask(&mut spinner, "spin\n").await, "spinning\n");
        spinners.push(spinner);
    }
    let answer = exchange(server.connect().await, b"echo\nhello\n").await;
    assert_eq!(answer, b"hello\n");
    let served = server.stop().await;
    // The fifth has sent its last answer, but may not have returned yet.
    assert_eq!(served.connections, 5);
    assert!(served.killed >= 4, "{} were killed", served.killed);
    for mut spinner in spinners {
        wait_for_close(&mut spinner).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_than_the_limit_are_accepted() {
    let _open = unchanged();
    let limits = Limits {
        max_connections: 2,
        ..Limits::default()
    };
    let server = start(limits).await;
    let mut first = echoing(&server).await;
    let second = echoing(&server).await;
    // The kernel completes the handshake, but the connection is not served while others are.
    let mut third = server.connect().await;
    third.write_all(b"echo\nhello\n").await.expect("sent");
    for _ in 0..100 {
        assert_eq!(ask(&mut first, "and you?\n").await, "and you?\n");
    }
    let nothing = third.try_read(&mut [0]).expect_err("nobody answers");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(server.listener.stats().accepted, 2);
    drop(first);
    assert_eq!(
        within("an answer", crate::support::read_line(&mut third)).await,
        "hello\n"
    );
    drop((second, third));
    assert_eq!(server.stop().await.connections, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_wrote_is_sent_though_it_dropped_nothing() {
    let _open = unchanged();
    let server = start(Limits::default()).await;
    let answer = exchange(server.connect().await, b"leak the last words\n").await;
    assert_eq!(answer, b"the last words");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_has_no_network_files_environment_or_arguments() {
    let _open = unchanged();
    let server = start(Limits::default()).await;
    let answer = exchange(server.connect().await, b"probe\n").await;
    assert_eq!(
        String::from_utf8(answer).expect("text"),
        "tcp=access-denied udp=access-denied names=permanent-resolver-failure \
         directories=0 environment=0 arguments=0\n"
    );
    server.stop().await;
}

/// What is refused is counted, for all instances together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_makes_sockets_if_its_policy_lets_it() {
    let _open = unchanged();
    for (policy, tcp, refused) in [
        (Policy::allow_all(), "tcp=granted ", 0),
        (Policy::deny_all(), "tcp=access-denied ", 2),
    ] {
        let service = Service::new(host(), TEST_GUEST).expect("a service");
        let grants = Grants::builder().policy(policy.clone()).build();
        let service = service.with_grants(grants.expect("grants"));
        let server = Server::start_service(LOCALHOST, service, Limits::default(), DEADLINE).await;
        for _ in 0..2 {
            let answer = exchange(server.connect().await, b"probe\n").await;
            assert!(answer.starts_with(tcp.as_bytes()), "{answer:?}");
        }
        server.stop().await;
        assert_eq!(policy.refusals().create, refused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_the_host_has_room_for_are_refused() {
    let _open = unchanged();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let limits = Limits {
        max_connections: host().max_connections() + 1,
        ..Limits::default()
    };
    let listener = listen(LOCALHOST).await;
    let error = evconn::serve(listener, service, limits, Shutdown::never())
        .await
        .expect_err("there is no room");
    assert!(matches!(error, Error::TooManyConnections { .. }), "{error}");
}

#[test]
fn what_is_no_service_is_refused() {
    let _open = unchanged();
    for bytes in [
        &b""[..],
        b"not wasm",
        b"\0asm\x01\0\0\0",
        evconn::guests::LISTENER,
    ] {
        let error = Service::new(host(), bytes).err().expect("no service");
        assert!(matches!(error, Error::Load(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serving_ends_when_the_listener_does() {
    let _open = unchanged();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    let server = tokio::spawn(evconn::serve(
        listener.clone(),
        service.clone(),
        Limits::default(),
        Shutdown::never(),
    ));
    let mut stream = connect(address).await;
    assert_eq!(ask(&mut stream, "echo\nhello\n").await, "hello\n");
    drop(stream);
    listener.close();
    let outcome = within("serving ends", server).await.expect("no panic");
    assert!(matches!(outcome, Err(Error::Closed)), "{outcome:?}");

    let listener = listen(LOCALHOST).await;
    let address = listener.local_addr();
    let server = tokio::spawn(evconn::serve(
        listener,
        service,
        Limits::default(),
        Shutdown::never(),
    ));
    drop(connect(address).await);
    crate::support::descriptors::break_listening(address);
    let outcome = within("serving ends", server).await.expect("no panic");
    assert!(matches!(outcome, Err(Error::Socket(_))), "{outcome:?}");
}

/// The runtime has one thread, so that the log contains only this test.
#[tokio::test]
async fn what_fails_is_logged_with_its_number_and_its_peer() {
    let _open = unchanged();
    let log = Log::start();
    let server = start(Limits::default()).await;
    let mut peers = Vec::new();
    for command in ["trap\n", "error it was\nthe guest\n"] {
        let mut peer = server.connect().await;
        peers.push(peer.local_addr().expect("its address"));
        peer.write_all(command.as_bytes()).await.expect("sent");
        wait_for_close(&mut peer).await;
    }
    assert_eq!(server.stop().await.failed, 2);

    let mut lines = log.lines();
    // The server ends when the peer knows of the second one, and it may do so before that is logged.
    lines.retain(|line| !line.contains("ending: "));
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, (number, why)) in lines.iter().zip([(1, "unreachable"), (2, "\"it was\"")]) {
        let peer = peers[number - 1];
        assert!(line.contains("connection failed"), "{line}");
        assert!(line.contains(why), "{line}");
        assert!(
            line.contains(&format!("number={number} peer={peer}")),
            "{line}"
        );
    }
}
