//! The commands of `guest/examples`.

use super::program::{Name, Program};
use crate::support::descriptors::unchanged;
use crate::support::{connect, connect_once_it_listens, exchange, free_port, within};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

fn echo_on(address: SocketAddr) -> Program {
    Program::new(Name::EchoCommand, &[&address.port().to_string()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echo_command_sends_every_byte_back() {
    let _open = unchanged();
    let address = free_port();
    let _program = echo_on(address).start();
    let client = connect_once_it_listens(address).await;
    let sent = vec![b'x'; 5 << 20];
    assert!(exchange(client, &sent).await == sent, "all of it");
    // One byte each, one after the other: nothing is left of any of them.
    for number in 0..2000_u32 {
        let byte = [number as u8];
        assert_eq!(exchange(connect(address).await, &byte).await, byte);
    }
}

#[tokio::test]
async fn echo_command_wants_a_port() {
    for argument in ["0", "-1", "65536", "nonsense", ""] {
        let program = Program::new(Name::EchoCommand, &[argument]);
        let ended = program.start().end().await;
        assert_eq!(ended.lines, ["Invalid port"], "{argument:?}");
        assert_eq!(ended.outcome.expect("no trap"), Err(()));
        assert_eq!(ended.errors, "");
    }
}

#[tokio::test]
async fn echo_command_says_why_it_cannot_listen() {
    let _open = unchanged();
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a listener");
    let address = taken.local_addr().expect("its address");
    let ended = echo_on(address).start().end().await;
    assert_eq!(
        ended.errors,
        "Couldn't create listener: the address is in use\n"
    );
    assert_eq!(ended.outcome.expect("no trap"), Err(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echo_command_ends_when_accepting_fails() {
    let _open = unchanged();
    let address = free_port();
    let program = echo_on(address).accept_fails(ErrorCode::InvalidState);
    let program = program.start();
    let _client = connect_once_it_listens(address).await;
    let ended = program.end().await;
    assert_eq!(ended.outcome.expect("no trap"), Ok(()));
    assert_eq!(
        ended.errors,
        "Got an error 9 (not possible in this state) on the listener. Shutting down.\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_world() {
    let _open = unchanged();
    let address = free_port();
    let arguments = [&address.port().to_string(), "1"];
    let mut program = Program::new(Name::HelloWorld, &arguments).start();
    for _ in 0..2 {
        let mut text = String::new();
        let mut client = connect_once_it_listens(address).await;
        within("a greeting", client.read_to_string(&mut text))
            .await
            .expect("received");
        assert_eq!(text, "Hello, World!\n");
        assert_eq!(program.line().await, "flushed answer");
    }
    let ended = program.end().await;
    assert_eq!(ended.lines, ["done"]);
    assert_eq!(
        ended.errors,
        "Caught an interrupt signal; exiting cleanly in two seconds.\n"
    );
    assert_eq!(ended.outcome.expect("no trap"), Ok(()));
}

#[tokio::test]
async fn hello_world_wants_numbers() {
    for arguments in [&["many"][..], &["0", "soon"]] {
        let ended = Program::new(Name::HelloWorld, arguments)
            .start()
            .end()
            .await;
        let wrong = arguments.last().expect("there is one");
        assert_eq!(
            ended.errors,
            format!("{wrong:?} is no number, or too large\n")
        );
        assert_eq!(ended.outcome.expect("no trap"), Err(()));
    }
}

/// Both directions at once, each ended by its own side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forward_passes_on_both_directions() {
    let _open = unchanged();
    let server = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a listener");
    let server_address = server.local_addr().expect("its address").to_string();
    let mut program = Program::new(Name::Forward, &["127.0.0.1:0", &server_address]).start();
    let address = listening_on(&program.line().await);
    for size in [0, 10, 8 << 20] {
        let client = connect(address).await;
        let (accepted, _) = within("a connection", server.accept())
            .await
            .expect("accepted");
        let (request, answer) = (vec![b'q'; size], vec![b'a'; size * 2]);
        let (received, asked) =
            tokio::join!(exchange(client, &request), exchange(accepted, &answer));
        assert!(received == answer, "all of the answer");
        assert!(asked == request, "all of the request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forward_closes_when_nobody_is_there() {
    let _open = unchanged();
    let server = free_port().to_string();
    let mut program = Program::new(Name::Forward, &["127.0.0.1:0", &server]).start();
    let address = listening_on(&program.line().await);
    let mut client = connect(address).await;
    let end = within("the end", client.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    let said = program.errors();
    assert_eq!(said, format!("{server}: connection refused\n"));
}

#[tokio::test]
async fn forward_wants_two_addresses() {
    for arguments in [&["127.0.0.1:0"][..], &["127.0.0.1:0", "example"]] {
        let ended = Program::new(Name::Forward, arguments).start().end().await;
        assert!(ended.errors.contains("address"), "{}", ended.errors);
        assert_eq!(ended.outcome.expect("no trap"), Err(()));
    }
}

/// Three components in one: the listener, the filter and the application.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_lets_in_whom_it_is_told() {
    let _open = unchanged();
    let address = free_port();
    let program = Program::new(Name::FilteredEcho, &[&address.port().to_string()]);
    let program = program.environment("EVCONN_FILTER", "127.0.0.2, ::1");
    let _program = program.start();
    let mut turned_away = connect_once_it_listens(address).await;
    let end = within("the end", turned_away.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");

    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    socket.bind(own).expect("bound");
    let let_in = within("connected", socket.connect(address)).await;
    let mut let_in = let_in.expect("connected");
    let_in.write_all(b"hello").await.expect("sent");
    assert_eq!(exchange(let_in, b", you").await, b"hello, you");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_lets_in_everyone_if_it_is_told_nothing() {
    let _open = unchanged();
    let address = free_port();
    let program = Program::new(Name::FilteredEcho, &[&address.port().to_string()]);
    let _program = program.start();
    let client = connect_once_it_listens(address).await;
    assert_eq!(exchange(client, b"hello").await, b"hello");
}

fn listening_on(line: &str) -> SocketAddr {
    let address = line
        .strip_prefix("Listening on ")
        .expect("where it listens");
    address.parse().expect("an address")
}
