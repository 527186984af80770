//! How the connection of a program ends, and its instance.

use super::{IDLE, acting, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect, rest};
use crate::support::process::Evconn;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// More than fits into the buffers of a connection that is not read.
const MUCH: usize = 8 << 20;

/// What comes after this request, until the end or the reset.
fn answer(address: SocketAddr, request: &str) -> (usize, Option<ErrorKind>) {
    let mut peer = connect(address);
    peer.write_all(request.as_bytes()).expect("sent");
    let mut received = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match peer.read(&mut buffer) {
            Ok(0) => return (received, None),
            Ok(count) => received += count,
            Err(error) => return (received, Some(error.kind())),
        }
    }
}

/// A server that does what its client says, each of whose instances has ended once its grace of none is over.
fn started() -> Option<Evconn> {
    acting(&["serve"], &["--grace", "600"])
}

#[test]
fn closing_is_a_regular_end_after_all_that_was_written() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let address = evconn.address();
    assert_eq!(answer(address, "close\n"), (0, None));
    let request = format!("write {MUCH}\nclose\n");
    assert_eq!(answer(address, &request), (MUCH, None));
    let log = end(evconn);
    assert!(
        log.contains("served 2 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

#[test]
fn a_trap_is_a_reset_after_all_that_was_written() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let request = format!("write {MUCH}\npanic\n");
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(answer(evconn.address(), &request), (MUCH, reset));
    let log = end(evconn);
    assert!(log.contains("connection failed: wasm trap: "), "{log}");
    assert!(log.contains("of which 0 were refused, 1 failed"), "{log}");
}

#[test]
fn its_status_decides_how_an_open_connection_ends() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let address = evconn.address();
    assert_eq!(answer(address, "write 10\nexit 0\n"), (10, None));
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(answer(address, "write 10\nexit 3\n"), (10, reset));
    let log = end(evconn);
    assert!(
        log.contains("connection failed: the service exited with status 1"),
        "{log}"
    );
    assert!(
        log.contains("served 2 connections, of which 0 were refused, 1 failed"),
        "{log}"
    );
}

/// It fails, which is logged, but its peer has had its end. An error that is returned closes the connection on its way.
#[test]
fn what_happens_after_a_connection_was_closed_does_not_change_its_end() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let address = evconn.address();
    for act in ["close-and-exit", "close-and-panic", "leave"] {
        let request = format!("write {MUCH}\n{act}\n");
        assert_eq!(answer(address, &request), (MUCH, None), "{act}");
    }
    let log = end(evconn);
    assert!(
        log.contains("served 3 connections, of which 0 were refused, 3 failed"),
        "{log}"
    );
}

/// It has closed its connection, and ends as idle: that is no failure.
#[test]
fn what_goes_on_after_its_connection_ends_with_the_idle_timeout() {
    let _open = unchanged();
    for act in ["close-and-sleep", "close-and-spin"] {
        let flags = ["--idle-timeout", IDLE, "--grace", "600"];
        let Some(evconn) = acting(&["serve"], &flags) else {
            return;
        };
        let mut peer = connect(evconn.address());
        peer.write_all(format!("write 10\n{act}\n").as_bytes())
            .expect("sent");
        assert_eq!(rest(&mut peer).expect("a regular end"), "x".repeat(10));
        let log = end(evconn);
        assert!(
            log.contains("served 1 connection, of which 0 were refused, 0 failed"),
            "{log}"
        );
        assert!(
            log.contains(" 0 timed out and 0 were ended by the shutdown"),
            "{log}"
        );
        drop(peer);
    }
}

#[test]
fn a_connection_that_it_leaves_idle_is_reset() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &["--idle-timeout", IDLE]) else {
        return;
    };
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(answer(evconn.address(), "served\n"), (2, reset));
    let log = end(evconn);
    assert!(log.contains("ended: no byte either way for 300ms"), "{log}");
}

#[test]
fn a_peer_that_resets_ends_what_its_program_does() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let mut peer = connect(evconn.address());
    peer.write_all(b"served\nspin\n").expect("sent");
    let mut served = [0; 2];
    peer.read_exact(&mut served).expect("an answer");
    socket2::SockRef::from(&peer)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("set");
    drop(peer);
    let log = end(evconn);
    assert!(log.contains("1 lost their peer"), "{log}");
}

/// Its peer is gone by the time that it writes, so that it ends with an error, which closes its connection: whether it
/// has by the time that the host notices is chance.
#[test]
fn a_failure_for_want_of_a_peer_is_none() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let address = evconn.address();
    for _ in 0..20 {
        let mut peer = connect(address);
        peer.write_all(format!("write {MUCH}\n").as_bytes())
            .expect("sent");
        let mut some = [0; 1];
        peer.read_exact(&mut some).expect("an answer");
        // With unread bytes, closing is a reset.
        drop(peer);
    }
    let log = end(evconn);
    let said = "served 20 connections, of which 0 were refused, 0 failed";
    assert!(log.contains(said), "{log}");
}

#[test]
fn one_that_waits_for_another_connection_is_over() {
    let _open = unchanged();
    let Some(evconn) = started() else { return };
    let address = evconn.address();
    for _ in 0..5 {
        assert_eq!(lines(address, "served\n").expect("an end"), ["1"]);
    }
    // With a grace that no test waits for.
    end(evconn);
}

/// It does once what it has to do by then. Its peer stays, so that nothing else ends it.
#[test]
fn one_that_waits_for_another_connection_up_to_a_time_is_over_once_that_has_passed() {
    let _open = unchanged();
    let Some(evconn) = acting(&["poll"], &["--grace", "600"]) else {
        return;
    };
    let mut peer = connect(evconn.address());
    ask(&mut peer, "served\n", "1\n");
    peer.write_all(b"close\n").expect("sent");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    let log = end(evconn);
    assert!(log.contains("stdout: \"it is time\""), "{log}");
    assert!(
        log.contains("served 1 connection, of which 0 were refused, 0 failed"),
        "{log}"
    );
    drop(peer);
}
