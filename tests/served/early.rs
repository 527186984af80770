//! Programs that never accept their connection.

use super::{IDLE, acting, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{eventually, is_reset};
use std::net::SocketAddr;

/// Has a connection that its program does not accept.
fn is_refused(address: SocketAddr) {
    let error = lines(address, "").expect_err("a reset");
    assert!(is_reset(&error), "{error}");
}

#[test]
fn one_that_does_not_accept_is_ended_when_it_is_idle() {
    let _open = unchanged();
    for act in [
        &["sleep"][..],
        &["spin"],
        &["bind", "0.0.0.0:7000"],
        &["second"],
    ] {
        let flags = ["--idle-timeout", IDLE, "--grace", "600"];
        let Some(evconn) = acting(act, &flags) else {
            return;
        };
        is_refused(evconn.address());
        let log = end(evconn);
        let said = "ended: its program has not accepted it for 300ms, on the first socket on which it listens";
        assert!(log.contains(said), "{act:?}: {log}");
        assert!(
            log.contains("0 failed, 0 lost their peer, 1 timed out"),
            "{act:?}: {log}"
        );
    }
}

#[test]
fn one_that_computes_before_it_accepts_has_as_much_time_as_any() {
    let _open = unchanged();
    let Some(evconn) = acting(&["spin"], &["--cpu-timeout", "0.2"]) else {
        return;
    };
    is_refused(evconn.address());
    let log = end(evconn);
    assert!(
        log.contains("its service has computed for more than 200ms"),
        "{log}"
    );
}

/// How often this is in a text.
fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// Has it started again and again, and returns its log.
fn log_of_many(evconn: Evconn) -> String {
    const CONNECTIONS: usize = 100;
    let address = evconn.address();
    for _ in 0..CONNECTIONS {
        is_refused(address);
    }
    let log = end(evconn);
    let served =
        format!("served {CONNECTIONS} connections, of which 0 were refused, {CONNECTIONS} failed");
    assert!(log.contains(&served), "{log}");
    log
}

#[test]
fn one_that_ends_is_told_once_and_is_not_started_for_each_connection() {
    let _open = unchanged();
    for (act, status) in [(&["exit", "3"][..], 1), (&["return"], 0), (&["fail"], 1)] {
        let Some(evconn) = acting(act, &["--processes", "1"]) else {
            return;
        };
        let log = log_of_many(evconn);
        let said = format!(
            "connection failed: the program has exited with status {status} before it accepted the connection, and is \
             not started again for 250ms"
        );
        assert_eq!(count(&log, &said), 1, "{log}");
        assert_eq!(count(&log, "before it accepted"), 1, "{log}");
        // A pause ends between two of them now and then.
        for printed in ["it has to go", "it has failed"] {
            assert!(count(&log, printed) < 20, "{log}");
        }
    }
}

#[test]
fn what_it_prints_says_why() {
    let _open = unchanged();
    let Some(evconn) = acting(&["exit", "0"], &["--processes", "1"]) else {
        return;
    };
    let log = log_of_many(evconn);
    let printed = log
        .find("connection's stdout: \"it has to go\"")
        .expect("its line");
    let told = log
        .find("the program has exited with status 0")
        .expect("its end");
    assert!(printed < told, "{log}");
}

#[test]
fn one_that_traps_is_not_started_for_each_connection() {
    let _open = unchanged();
    let Some(evconn) = acting(&["panic"], &["--processes", "1"]) else {
        return;
    };
    let log = log_of_many(evconn);
    assert!(
        (1..20).contains(&count(&log, "connection failed: wasm trap")),
        "{log}"
    );
}

#[test]
fn one_that_accepts_again_is_served() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let (file, folder) = (scratch.join("file"), scratch.join(""));
    let grant = format!("{}::/data:ro", folder.display());
    let flags = ["--dir", &grant, "--processes", "1"];
    let Some(evconn) = acting(&["if-exists", "/data/file"], &flags) else {
        return;
    };
    let address = evconn.address();
    is_refused(address);
    std::fs::write(file, "").expect("written");
    let served = eventually("it is started again", || lines(address, "served\n").ok());
    assert_eq!(served, ["1"]);
    assert_eq!(lines(address, "served\n").expect("it is served"), ["1"]);
    let log = end(evconn);
    assert!(log.contains("\"/data/file is missing\""), "{log}");
    assert_eq!(
        count(&log, "the program accepts connections again"),
        1,
        "{log}"
    );
}
