//! Instances that have several connections: each is a call of its own.

use super::{ACTS, Site, unchanged};
use crate::support::eventually;
use crate::support::peer::{ask, reset, rest};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

/// Serves in one instance, up to 10 connections at a time.
fn one_instance(flags: &[&str]) -> Site {
    Site::start(&[&["--instances", "1", "--concurrency", "10"], flags].concat())
}

/// Returns how often this instance was called for `count`.
fn count(site: &Site) -> String {
    site.all_of("count")
}

#[test]
fn connections_meet_in_one_instance_at_a_time() {
    let _open = unchanged();
    for processes in ["0", "1", "2"] {
        let site = Site::of(
            ACTS,
            &[
                "--instances",
                "1",
                "--concurrency",
                "10",
                "--processes",
                processes,
            ],
        );
        let mut first = site.act("echo");
        ask(&mut first, "one", "one");
        let mut second = site.act("hand-back");
        ask(&mut second, "two", "two");
        assert_eq!(count(&site), "1\n");
        ask(&mut first, "again", "again");
        assert_eq!(count(&site), "2\n");
        for peer in [&mut first, &mut second] {
            peer.shutdown(Shutdown::Write).expect("ended");
            assert_eq!(rest(peer).expect("a regular end"), "");
        }
        assert_eq!(count(&site), "3\n");
        let log = site.end();
        assert!(log.contains("0 failed"), "{log}");
    }
}

#[test]
fn an_instance_is_replaced_after_as_many_connections_as_it_may_have() {
    let _open = unchanged();
    let site = Site::start(&["--reuse", "2", "--instances", "1"]);
    let counts: Vec<_> = (0..5).map(|_| count(&site)).collect();
    assert_eq!(counts, ["1\n", "2\n", "1\n", "2\n", "1\n"]);
    site.end();
}

/// FIN and RST of one connection are no matter of the others.
#[test]
fn an_error_ends_its_own_connection_alone() {
    let _open = unchanged();
    let site = one_instance(&[]);
    let mut other = site.act("echo");
    ask(&mut other, "one", "one");
    assert_eq!(site.until_reset("fail it is mine"), "");
    assert_eq!(site.until_reset("burst-and-fail 100000").len(), 100_000);
    assert_eq!(site.until_reset("fail-first"), "half of it\n");
    ask(&mut other, "two", "two");
    assert_eq!(count(&site), "1\n");
    site.evconn.logged("the service gave up: \"it is mine\"");
    drop(other);
    site.end();
}

#[test]
fn a_trap_ends_all_connections_of_the_instance() {
    let _open = unchanged();
    let site = one_instance(&[]);
    let mut other = site.act("echo");
    ask(&mut other, "one", "one");
    assert_eq!(count(&site), "1\n");
    assert_eq!(site.until_reset("trap-later"), "");
    let error = other.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(count(&site), "1\n", "another instance");
    let log = site.end();
    assert!(log.contains("its instance had 2 connections"), "{log}");
}

/// Peers that are gone while the guest waits: their streams have ended. A task that waits for something else is ended
/// with its instance.
#[test]
fn a_peer_that_is_gone_takes_its_streams_along() {
    let _open = unchanged();
    let site = one_instance(&["--grace", "0.1"]);
    let mut other = site.act("echo");
    ask(&mut other, "one", "one");
    for act in [
        "echo",
        "hand-back",
        "ended",
        "hold",
        "write-until-closed",
        "never-return",
    ] {
        let mut peer = site.act(act);
        if act == "write-until-closed" {
            peer.read_exact(&mut [0; 100]).expect("it has begun");
        }
        reset(peer);
    }
    site.evconn.logged("nobody reads it");
    ask(&mut other, "two", "two");
    assert_eq!(count(&site), "1\n");
    other.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut other).expect("a regular end"), "");
    site.end();
}

/// Tasks that wait for ever take the places of their connections, until there are none left.
#[test]
fn an_instance_that_is_full_of_tasks_without_connections_is_replaced() {
    let _open = unchanged();
    for act in ["never-return", "sleep 100000000"] {
        let site = Site::start(&["--instances", "1", "--concurrency", "2", "--grace", "0.1"]);
        assert_eq!(count(&site), "1\n");
        for _ in 0..2 {
            reset(site.act(act));
        }
        assert_eq!(count(&site), "1\n", "{act}: another instance");
        let said = "has not let go of the connections that it had";
        let log = site.evconn.logged(said);
        assert_eq!(log.matches(said).count(), 1, "{act}");
        site.end();
    }
}

/// Those that notice that their connections have ended make way for others.
#[test]
fn tasks_that_notice_make_way_for_others() {
    let _open = unchanged();
    let site = Site::start(&["--instances", "1", "--concurrency", "2"]);
    for _ in 0..5 {
        for act in ["echo", "ended", "write-until-closed"] {
            reset(site.act(act));
        }
    }
    assert_eq!(count(&site), "1\n");
    assert_eq!(count(&site), "2\n");
    let log = site.end();
    assert!(!log.contains("has not let go"), "{log}");
}

/// What was ended leaves no handle in the instance.
#[test]
fn connections_leave_no_handles() {
    let _open = unchanged();
    let site = one_instance(&["--max-handles", "60"]);
    for _ in 0..20 {
        for act in [
            "hand-back",
            "echo",
            "ended",
            "read-no-more",
            "burst 100000",
            "go-on",
        ] {
            let mut peer = site.act(act);
            peer.shutdown(Shutdown::Write).expect("ended");
            rest(&mut peer).expect("a regular end");
        }
        reset(site.act("echo"));
        site.until_reset("fail x");
    }
    assert_eq!(count(&site), "1\n");
    site.end();
}

/// What a task has in hand whose peer is gone half-way, it drops: the instance would be out of memory otherwise.
#[test]
fn peers_that_reset_leave_no_memory() {
    let _open = unchanged();
    let site = one_instance(&["--max-memory", "2M"]);
    for _ in 0..300 {
        let mut peer = site.act("echo");
        peer.write_all(&[b'x'; 64 << 10]).expect("sent");
        peer.read_exact(&mut [0]).expect("it has begun");
        reset(peer);
    }
    assert_eq!(count(&site), "1\n", "it is the same instance");
    site.end();
}

/// A task that computes, and nobody waits for any more, is interrupted nevertheless.
#[test]
fn a_task_that_spins_without_a_connection_is_ended() {
    let _open = unchanged();
    let site = one_instance(&["--cpu-timeout", "0.1"]);
    assert_eq!(site.all_of("spin-afterwards"), "");
    eventually("its instance is ended", || {
        let log = site.evconn.log_so_far();
        log.contains("has computed for more than 100ms")
            .then_some(())
    });
    assert_eq!(count(&site), "1\n");
    site.end();
}

#[test]
fn open_connections_of_an_instance_are_finished() {
    let _open = unchanged();
    let site = one_instance(&[]);
    let mut peer = site.act("echo");
    ask(&mut peer, "hello", "hello");
    site.evconn.signal(rustix::process::Signal::TERM);
    site.evconn.logged("ending: open connections");
    ask(&mut peer, "again", "again");
    peer.write_all(b"!").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "!");
    assert_eq!(site.evconn.wait().status.code(), Some(0));
}
