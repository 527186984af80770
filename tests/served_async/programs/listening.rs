//! When a program waits for nothing but connections: only then is one over whose connection is closed.

use super::{LONG, acting, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect, rest};
use std::io::Write;

/// With a grace that no test waits for.
#[test]
fn one_with_several_listening_sockets_is_over() {
    let _open = unchanged();
    let evconn = acting(&["several"], &LONG).expect("a program");
    let address = evconn.address();
    for _ in 0..3 {
        let answers = lines(address, "served\n");
        assert_eq!(answers.expect("an end"), ["1"]);
    }
    end(evconn);
}

#[test]
fn each_of_its_sockets_has_connections() {
    let _open = unchanged();
    let listen = ["--listen", "7001=127.0.0.1:0"];
    let evconn = acting(&["several"], &[&listen[..], &LONG].concat()).expect("a program");
    let mut answers = [(); 2].map(|()| {
        let answer = lines(evconn.address(), "listener\n").expect("an end");
        answer.concat()
    });
    answers.sort();
    assert_eq!(answers, ["0.0.0.0:7000", "0.0.0.0:7001"]);
    end(evconn);
}

/// What it does first is no failure to accept.
#[test]
fn one_that_listens_late_is_served() {
    let _open = unchanged();
    let evconn = acting(&["late"], &LONG).expect("a program");
    let answers = lines(evconn.address(), "served\n");
    assert_eq!(answers.expect("an end"), ["1"]);
    end(evconn);
}

/// Its tasks are not `run`'s.
#[test]
fn one_whose_run_has_returned_goes_on() {
    let _open = unchanged();
    for act in ["background", "one"] {
        let evconn = acting(&[act], &LONG).expect("a program");
        let address = evconn.address();
        for _ in 0..2 {
            let answers = lines(address, "served\n");
            assert_eq!(answers.expect("an end"), ["1"], "{act}");
        }
        let log = end(evconn);
        assert!(log.contains("0 failed"), "{log}");
    }
}

#[test]
fn one_that_serves_in_turn_is_over() {
    let _open = unchanged();
    let evconn = acting(&["in-turn"], &LONG).expect("a program");
    let address = evconn.address();
    for _ in 0..2 {
        let answers = lines(address, "served\n");
        assert_eq!(answers.expect("an end"), ["1"]);
    }
    end(evconn);
}

/// It reads from another server when its own connection is closed. What it prints then shows that it was not ended before.
#[test]
fn one_that_waits_for_another_server_is_not_over() {
    let _open = unchanged();
    let behind = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let server = behind.local_addr().expect("an address").to_string();
    let flags = [&["--allow-connect", &server], &LONG[..]].concat();
    let evconn = acting(&["serve"], &flags).expect("a program");
    let mut peer = connect(evconn.address());
    ask(&mut peer, "served\n", "1\n");
    let text = format!("close-and-ask {server}\n");
    peer.write_all(text.as_bytes()).expect("sent");
    let (mut upstream, _) = behind.accept().expect("it connects");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    upstream.write_all(b"what is to be printed").expect("sent");
    drop(upstream);
    let log = end(evconn);
    let said = "stdout: \"what is to be printed\"";
    assert!(log.contains(said), "{log}");
}

/// It has closed its connection, and does something else, between which others of its tasks may run.
#[test]
fn one_that_gives_way_to_others_is_not_idle() {
    let _open = unchanged();
    let evconn = acting(&["serve"], &LONG).expect("a program");
    let mut peer = connect(evconn.address());
    peer.write_all(b"close-and-yield\n").expect("sent");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    let log = end(evconn);
    assert!(log.contains("it has given way often"), "{log}");
}
