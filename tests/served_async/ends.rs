//! How connections end: the rules of the returned stream and future, and of both directions.

use super::{Site, gets_all_back, unchanged};
use crate::support::peer::{reset, rest};
use std::io::{Read, Write};
use std::net::Shutdown;

/// More than the buffers of both ends take.
const MUCH: usize = 16 << 20;

#[test]
fn what_a_handler_copies_comes_back_and_ends() {
    let _open = unchanged();
    for processes in ["0", "1"] {
        let site = Site::of(super::ACTS, &["--processes", processes]);
        gets_all_back(site.act("echo"), MUCH);
        assert!(!site.end().contains("WARN"));
    }
}

#[test]
fn a_stream_that_is_handed_back_comes_back_and_ends() {
    let _open = unchanged();
    let site = Site::start(&[]);
    gets_all_back(site.act("hand-back"), MUCH);
    assert!(site.end().contains("0 failed"));
}

#[test]
fn the_example_sends_everything_back() {
    let _open = unchanged();
    let site = Site::of(evconn_artifacts::ASYNC_ECHO_PATH, &["--processes", "1"]);
    gets_all_back(crate::support::peer::connect(site.address), MUCH);
    site.end();
}

/// The handler's task has exited, and the peer has yet to read.
#[test]
fn what_was_written_arrives_before_the_end() {
    let _open = unchanged();
    let site = Site::start(&[]);
    assert_eq!(site.all_of(&format!("burst {MUCH}")).len(), MUCH);
    site.end();
}

#[test]
fn an_error_of_the_future_is_a_reset_after_what_was_written() {
    let _open = unchanged();
    let site = Site::start(&[]);
    assert_eq!(site.until_reset("burst-and-fail 100000").len(), 100_000);
    assert_eq!(site.until_reset("fail-first"), "half of it\n");
    site.evconn
        .logged("the service gave up: \"it is too much\"");
    site.evconn
        .logged("the service gave up: \"the other half is missing\"");
    site.end();
}

#[test]
fn an_error_of_the_handler_is_a_reset_and_logged() {
    let _open = unchanged();
    let site = Site::start(&[]);
    assert_eq!(site.until_reset("fail it does not like it"), "");
    assert_eq!(site.until_reset("fail-with-code"), "");
    site.evconn
        .logged("the service gave up: \"it does not like it\"");
    site.evconn.logged("the service gave up: \"timeout\"");
    site.end();
}

#[test]
fn a_trap_is_a_reset_whenever_it_happens() {
    let _open = unchanged();
    let site = Site::start(&[]);
    for act in ["trap", "trap-later", "burst-and-trap 0"] {
        assert_eq!(site.until_reset(act), "", "{act}");
    }
    assert_eq!(site.until_reset("burst-and-trap 100000").len(), 100_000);
    site.is_polite();
    assert!(site.end().contains("4 failed"));
}

/// FIN in one direction, while the other one goes on.
#[test]
fn the_end_of_what_is_sent_is_told_while_more_is_received() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let mut peer = site.act("send-no-more");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    peer.write_all(&[b'x'; 100_000]).expect("it is still read");
    peer.shutdown(Shutdown::Write).expect("ended");
    site.evconn.logged("100000 bytes after the end");
    assert!(site.end().contains("0 failed"));
}

#[test]
fn a_handler_that_reads_no_more_does_not_disturb_its_peer() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let mut peer = site.act("read-no-more");
    // It may be there before the handler has begun.
    peer.write_all(&[b'x'; 1_000]).expect("sent");
    assert_eq!(rest(&mut peer).expect("a regular end"), "no more: Ok(())\n");
    assert!(site.end().contains("0 failed"));
}

#[test]
fn a_handler_is_told_how_its_peer_has_ended() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let mut peer = site.act("ended");
    peer.write_all(b"12345").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "5 bytes, Ok(())\n");
    site.end();
}

#[test]
fn a_task_may_go_on_after_the_end() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let mut peer = site.act("go-on");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    drop(peer);
    site.evconn.logged("it has gone on");
    assert!(site.end().contains("0 failed"));
}

#[test]
fn a_peer_that_resets_ends_the_instance() {
    let _open = unchanged();
    let site = Site::start(&[]);
    for act in [
        "echo",
        "hand-back",
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
    site.is_polite();
    let log = site.end();
    assert!(log.contains("0 failed"), "{log}");
}
