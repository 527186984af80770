//! Servers of several kinds, with many clients at a time.

use super::{LONG, acting, end, lines, serve, serve_file};
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect, rest};
use crate::support::process::Evconn;
use crate::support::{connect as connect_async, exchange, pattern};
use std::io::Write;
use std::net::{Shutdown, SocketAddr};

pub const CLIENTS: usize = 24;

/// Each client gets back what it has sent, whatever the others send.
fn echoes_to_many(address: SocketAddr) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let clients = (1..=CLIENTS).map(|number| {
            tokio::spawn(async move {
                let request = pattern(number * 20_011);
                let answer = exchange(connect_async(address).await, &request).await;
                assert!(answer == request, "client {number}");
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.expect("an answer");
        }
    });
}

/// A client that waits does not keep the others from being served.
fn serves_them_at_a_time(address: SocketAddr) {
    let mut peers: Vec<_> = (0..3).map(|_| connect(address)).collect();
    for peer in peers.iter_mut().rev() {
        ask(peer, "hello\n", "hello\n");
    }
    for peer in &mut peers {
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(peer).expect("a regular end"), "");
    }
}

pub fn is_an_echo_server(evconn: Evconn) {
    let address = evconn.address();
    serves_them_at_a_time(address);
    echoes_to_many(address);
    let log = end(evconn);
    let served = format!(
        "served {} connections, of which 0 were refused, 0 failed",
        CLIENTS + 3
    );
    assert!(log.contains(&served), "{log}");
}

#[test]
fn one_that_serves_a_client_after_the_other() {
    let _open = unchanged();
    if let Some(evconn) = serve("std-echo", &LONG) {
        is_an_echo_server(evconn);
    }
}

/// Its instances end because they are idle: it never waits for anything but the time.
#[test]
fn one_that_never_blocks() {
    let _open = unchanged();
    if let Some(evconn) = serve("std-poll", &["--idle-timeout", "5", "--grace", "600"]) {
        is_an_echo_server(evconn);
    }
}

#[test]
fn one_with_a_task_for_each_client() {
    let _open = unchanged();
    if let Some(evconn) = serve("wstd-echo", &LONG) {
        is_an_echo_server(evconn);
    }
}

#[test]
fn one_that_imports_the_listener() {
    let _open = unchanged();
    is_an_echo_server(serve_file(evconn_artifacts::ECHO_COMMAND_PATH, &LONG));
}

#[test]
fn one_that_greets_and_closes() {
    let _open = unchanged();
    let evconn = serve_file(evconn_artifacts::HELLO_WORLD_PATH, &LONG);
    let address = evconn.address();
    for _ in 0..3 {
        assert_eq!(lines(address, "").expect("a greeting"), ["Hello, World!"]);
    }
    end(evconn);
}

/// What one that forwards connects to has to be granted.
#[test]
fn one_that_forwards() {
    let _open = unchanged();
    let Some(behind) = serve("std-echo", &LONG) else {
        return;
    };
    let server = behind.address().to_string();
    let arguments = [
        "--arg",
        "127.0.0.1:80",
        "--arg",
        &server,
        "--allow-connect",
        &server,
    ];
    let evconn = serve_file(
        evconn_artifacts::FORWARD_PATH,
        &[&arguments[..], &LONG].concat(),
    );
    echoes_to_many(evconn.address());
    end(evconn);
    end(behind);
}

/// An instance that serves another connection would count on.
#[test]
fn no_two_connections_share_an_instance() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &LONG) else {
        return;
    };
    let address = evconn.address();
    let mut open = connect(address);
    ask(&mut open, "served\n", "1\n");
    for _ in 0..10 {
        assert_eq!(
            lines(address, "served\nserved\n").expect("an end"),
            ["1", "1"]
        );
    }
    ask(&mut open, "served\n", "1\n");
    drop(open);
    end(evconn);
}

/// The answer is read after the client has ended its side, and after the server has ended its own.
#[test]
fn either_side_may_end_first() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &LONG) else {
        return;
    };
    let address = evconn.address();
    assert_eq!(lines(address, "read\n12345").expect("an end"), ["5"]);
    let mut peer = connect(address);
    peer.write_all(b"one\nhalf-close\n").expect("sent");
    assert_eq!(rest(&mut peer).expect("a regular end"), "one\n");
    drop(peer);
    end(evconn);
}

#[test]
fn it_has_what_it_is_granted() {
    let _open = unchanged();
    let flags = ["--env", "TOWN=Lund"];
    let Some(evconn) = acting(&["serve"], &[&flags[..], &LONG].concat()) else {
        return;
    };
    let answers = lines(evconn.address(), "env TOWN\nconnect 127.0.0.1:1\n");
    assert_eq!(answers.expect("an end"), ["Lund", "PermissionDenied"]);
    let log = end(evconn);
    assert!(
        log.contains("grant it with --allow-connect 127.0.0.1:1"),
        "{log}"
    );
}
