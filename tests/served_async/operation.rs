//! Draining, reloading, and what is printed.

use super::{ACTS, Site, unchanged};
use crate::support::peer::{ask, connect, rest};
use crate::support::scratch::Scratch;
use rustix::process::Signal;
use std::io::Write;
use std::net::Shutdown;

#[test]
fn open_connections_are_finished_before_the_server_ends() {
    let _open = unchanged();
    for processes in ["0", "1"] {
        let site = Site::of(ACTS, &["--processes", processes]);
        let mut peer = site.act("echo");
        ask(&mut peer, "hello", "hello");
        site.evconn.signal(Signal::TERM);
        site.evconn.logged("ending: open connections");
        ask(&mut peer, "again", "again");
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("a regular end"), "");
        assert_eq!(site.evconn.wait().status.code(), Some(0));
    }
}

/// From a handler of WASI 0.2 to one of WASI 0.3, and back.
#[test]
fn a_reload_changes_the_version() {
    let _open = unchanged();
    for processes in ["0", "1"] {
        let scratch = Scratch::new();
        let served = scratch.join("served.wasm");
        let put = |component: &[u8]| std::fs::write(&served, component).expect("written");
        put(evconn_artifacts::GREET);
        let path = served.to_str().expect("text");
        let site = Site::of(path, &["--processes", processes]);
        let is_async = || {
            let mut peer = connect(site.address);
            peer.write_all(b"number\n").expect("sent");
            peer.shutdown(Shutdown::Write).expect("ended");
            let told = rest(&mut peer).unwrap_or_default();
            told.trim().parse::<u64>().is_ok()
        };
        assert!(!is_async());
        let components = [
            (evconn_artifacts::ASYNC_ACTS, true),
            (evconn_artifacts::GREET, false),
            (evconn_artifacts::ASYNC_ACTS, true),
        ];
        for (reloads, (component, expected)) in (1..).zip(components) {
            put(component);
            site.evconn.signal(Signal::HUP);
            crate::support::eventually("it is reloaded", || {
                let log = site.evconn.log_so_far();
                (log.matches("component reloaded").count() >= reloads).then_some(())
            });
            assert_eq!(is_async(), expected, "{}", site.evconn.log_so_far());
        }
        site.end();
    }
}

#[test]
fn what_a_handler_prints_is_logged_with_its_connection() {
    let _open = unchanged();
    let site = Site::start(&[]);
    assert_eq!(site.all_of("print hello there"), "");
    let log = site.end();
    let line = log.lines().find(|line| line.contains("hello there"));
    let line = line.unwrap_or_else(|| panic!("it is not logged: {log}"));
    assert!(line.contains("number="), "{line}");
}

/// The handler connects to another server, and returns what that sends: its stream is the host's.
#[test]
fn a_handler_forwards_to_a_server_that_is_granted() {
    let _open = unchanged();
    let server = Site::start(&[]);
    let to = server.address.to_string();
    let site = Site::start(&["--allow-connect", &to]);
    let mut peer = site.act(&format!("forward {to}"));
    peer.write_all(b"echo\nhello").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "hello");
    site.end();
    let site = Site::start(&[]);
    assert_eq!(site.until_reset(&format!("forward {to}")), "");
    let log = site.end();
    assert!(log.contains("--allow-connect"), "{log}");
    assert!(
        log.contains("the service gave up: \"access-denied\""),
        "{log}"
    );
    server.end();
}

#[test]
fn instances_are_made_ahead() {
    let _open = unchanged();
    let site = Site::start(&["--warm", "2"]);
    for _ in 0..5 {
        site.is_polite();
    }
    site.end();
}

#[test]
fn compiled_code_is_served() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let compiled = scratch.join("acts.cwasm");
    let path = compiled.to_str().expect("text");
    let ended = crate::support::process::Evconn::run(&["compile", ACTS, "-o", path]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for processes in ["0", "1"] {
        let flags = ["--allow-precompiled", "--processes", processes];
        let site = Site::of(path, &flags);
        site.is_polite();
        site.end();
    }
}
