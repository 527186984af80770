//! What changes a server.

use super::{PROCESSES, Server, TEST_GUEST, ends_well};
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, echoing, rest};
use crate::support::process::Evconn;
use crate::support::scratch::{Scratch, install};
use crate::support::workers::{wait_for_workers, worker_with};
use crate::support::{eventually, is_reset};
use evconn::guests;
use rustix::process::Signal;
use std::net::TcpStream;

/// It is being served still.
fn goes_on(peer: &mut TcpStream) {
    ask(peer, "still here\n", "still here\n");
}

/// Sends signals until it ends, since those that arrive at the same time are one. Returns its exit status.
fn ends_by_signals(mut evconn: Evconn) -> Option<i32> {
    eventually("it ends", || {
        let is_running = evconn.is_running();
        if is_running {
            evconn.signal(Signal::TERM);
        }
        (!is_running).then_some(())
    });
    evconn.wait().status.code()
}

#[test]
fn one_connection_is_reset_and_no_other() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let mut peers: Vec<_> = (0..6).map(|_| echoing(server.address)).collect();
        let mut victim = peers.swap_remove(2);
        let path = format!("/connections/{}/reset", server.number(&victim));
        let reset = server.admin.post(&path, "");
        assert!(reset.is(200).contains("is reset"), "{reset:?}");
        let error = rest(&mut victim).expect_err("a reset");
        assert!(is_reset(&error), "{error}");
        eventually("it is gone", || {
            (server.admin.post(&path, "").status == 404).then_some(())
        });
        peers.iter_mut().for_each(goes_on);
        drop(peers);
        let log = server.end();
        assert!(log.contains("ended: it was reset by its number"), "{log}");
        assert!(
            log.contains("0 failed") && log.contains("0 were ended"),
            "{log}"
        );
    }
}

#[test]
fn a_drain_lets_connections_finish_and_the_signal_after_it_too() {
    let _open = unchanged();
    for processes in PROCESSES {
        let flags = ["--admin", "127.0.0.1:0", "--grace", "600"];
        let server = Server::start_with(TEST_GUEST, processes, &flags);
        let mut peer = echoing(server.address);
        assert_eq!(server.admin.post("/drain", "").is(200), "draining\n");
        eventually("probes are told", || {
            let ready = server.admin.get("/readyz");
            (ready.status == 503).then(|| assert_eq!(ready.body, "the server is ending\n"))
        });
        server.admin.get("/healthz").is(200);
        // As a container's hook does it: drain, and then the signal.
        assert_eq!(server.admin.post("/drain", "").is(200), "draining\n");
        server.evconn.signal(Signal::TERM);
        server
            .admin
            .post("/reload", "")
            .is(if processes == "0" { 200 } else { 503 });
        goes_on(&mut peer);
        drop(peer);
        ends_well(server.evconn);
    }
}

#[test]
fn a_second_signal_after_a_drain_ends_it_now() {
    let _open = unchanged();
    for processes in PROCESSES {
        let flags = ["--admin", "127.0.0.1:0", "--grace", "600"];
        let server = Server::start_with(TEST_GUEST, processes, &flags);
        let mut peer = echoing(server.address);
        server.admin.post("/drain", "").is(200);
        server.evconn.signal(Signal::TERM);
        goes_on(&mut peer);
        assert_eq!(ends_by_signals(server.evconn), Some(1));
        drop(peer);
    }
}

#[test]
fn probes_are_told_before_it_stops_accepting() {
    let _open = unchanged();
    for processes in PROCESSES {
        let flags = ["--admin", "127.0.0.1:0", "--drain-delay", "600"];
        let server = Server::start_with(TEST_GUEST, processes, &flags);
        server.admin.post("/drain", "").is(200);
        eventually("probes are told", || {
            (server.admin.get("/readyz").status == 503).then_some(())
        });
        drop(echoing(server.address));
        ends_by_signals(server.evconn);
    }
}

#[test]
fn a_reload_answers_when_it_is_done_or_why_it_was_not() {
    let _open = unchanged();
    for processes in PROCESSES {
        let scratch = Scratch::new();
        let app = scratch.join("app.wasm");
        std::fs::copy(TEST_GUEST, &app).expect("copied");
        let flags = ["--admin", "127.0.0.1:0"];
        let server = Server::start_with(app.to_str().expect("text"), processes, &flags);
        let mut old = echoing(server.address);
        install(b"no component", &app);
        let failed = server.admin.post("/reload", "");
        let why = failed.is(500);
        assert!(
            why.contains("component not reloaded") && why.contains("app.wasm"),
            "{why}"
        );
        drop(echoing(server.address));
        install(guests::ECHO, &app);
        let done = server.admin.post("/reload", "");
        assert_eq!(done.is(200), "component reloaded, for new connections\n");
        // The example echoes the first line as well, which the test guest takes for a command.
        let mut new = crate::support::peer::connect(server.address);
        ask(&mut new, "echo\n", "echo\n");
        goes_on(&mut old);
        assert_eq!(server.admin.get("/readyz").is(200), "ready\n");
        drop((old, new));
        server.end();
    }
}

#[test]
fn there_may_be_nothing_to_reload() {
    let _open = unchanged();
    for processes in PROCESSES {
        let flags = [
            "echo",
            "0",
            "--address",
            "127.0.0.1",
            "--admin",
            "127.0.0.1:0",
        ];
        let evconn = Evconn::start(&[&flags[..], &["--processes", processes]].concat());
        let admin = crate::support::http::Admin::of(&evconn);
        evconn.address();
        assert_eq!(
            admin.post("/reload", "").is(200),
            "there is nothing to reload\n"
        );
        evconn.signal(Signal::TERM);
        ends_well(evconn);
    }
}

#[test]
fn the_log_level_is_that_of_all_processes() {
    let _open = unchanged();
    for processes in ["0", "1"] {
        let server = Server::start(processes);
        for (wrong, why) in [("inof", "\"inof\" is not a level"), ("", "is empty")] {
            let refused = server.admin.post("/log-level", wrong);
            assert!(refused.is(400).contains(why), "{refused:?}");
        }
        drop(echoing(server.address));
        assert!(!server.evconn.log_so_far().contains("connection accepted"));
        server.admin.post("/log-level", "evconn=debug\n").is(200);
        let peer = echoing(server.address);
        server.evconn.logged("connection accepted number=2");
        let mut expected = 3;
        if processes != "0" {
            // The worker that takes its place has the same.
            worker_with(&server.evconn, &peer).kill();
            wait_for_workers(&server.evconn, 1);
            drop(echoing(server.address));
            server.evconn.logged("connection accepted number=3");
            expected += 1;
        }
        server.admin.post("/log-level", "info").is(200);
        drop((peer, echoing(server.address)));
        let log = server.end();
        let line = format!("connection accepted number={expected}");
        assert!(!log.contains(&line), "{log}");
    }
}
