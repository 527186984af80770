//! Servers of several kinds, with many clients at a time.

use super::{LONG, acting, end, lines};
use crate::served::echo::is_an_echo_server;
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect};

/// What a fresh instance each takes, and what one for all.
const POLICIES: [&[&str]; 2] = [&[], &["--instances", "1", "--concurrency", "100"]];

#[test]
fn one_that_copies() {
    let _open = unchanged();
    for policy in POLICIES {
        let flags = [policy, &LONG].concat();
        is_an_echo_server(acting(&["echo"], &flags).expect("a program"));
    }
}

/// Its host moves the bytes.
#[test]
fn one_that_sends_the_stream_that_it_receives() {
    let _open = unchanged();
    for policy in POLICIES {
        let flags = [policy, &LONG].concat();
        is_an_echo_server(acting(&["pass-on"], &flags).expect("a program"));
    }
}

/// An instance that serves another connection would count on.
#[test]
fn no_two_connections_share_an_instance() {
    let _open = unchanged();
    let evconn = acting(&["serve"], &LONG).expect("a program");
    let address = evconn.address();
    let mut open = connect(address);
    ask(&mut open, "served\n", "1\n");
    for _ in 0..10 {
        let answers = lines(address, "served\nserved\n");
        assert_eq!(answers.expect("an end"), ["1", "1"]);
    }
    ask(&mut open, "served\n", "1\n");
    drop(open);
    end(evconn);
}

#[test]
fn it_has_what_it_is_granted() {
    let _open = unchanged();
    let flags = [&["--env", "TOWN=Lund"], &LONG[..]].concat();
    let evconn = acting(&["serve"], &flags).expect("a program");
    let answers = lines(evconn.address(), "env TOWN\nconnect 127.0.0.1:1\n");
    assert_eq!(answers.expect("an end"), ["Lund", "PermissionDenied"]);
    let log = end(evconn);
    let said = "grant it with --allow-connect 127.0.0.1:1";
    assert!(log.contains(said), "{log}");
}

/// What it connects to keeps it from being over: its own connection is closed by then.
#[test]
fn it_has_another_server_s_answer() {
    let _open = unchanged();
    let behind = acting(&["serve"], &LONG).expect("a program");
    let server = behind.address().to_string();
    let flags = [&["--allow-connect", &server], &LONG[..]].concat();
    let evconn = acting(&["serve"], &flags).expect("a program");
    // It has nothing to say, and closes when its peer does.
    let mut peer = connect(evconn.address());
    ask(&mut peer, "served\n", "1\n");
    drop(peer);
    end(evconn);
    end(behind);
}

/// 3: WASI 0.3 has a function for it.
#[test]
fn a_status_is_the_log_s() {
    let _open = unchanged();
    let evconn = acting(&["serve"], &[]).expect("a program");
    let address = evconn.address();
    lines(address, "exit-with-code 3\n").expect_err("a reset");
    assert_eq!(
        lines(address, "exit-with-code 0\n").expect("an end"),
        [""; 0]
    );
    let log = end(evconn);
    let said = "connection failed: the service exited with status 3";
    assert!(log.contains(said), "{log}");
    let evconn = acting(&["exit-with-code", "7"], &[]).expect("a program");
    lines(evconn.address(), "").expect_err("a reset");
    let log = end(evconn);
    let said = "the program has exited with status 7 before it accepted";
    assert!(log.contains(said), "{log}");
}
