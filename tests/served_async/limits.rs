//! Limits and timeouts.

use super::{Site, unchanged};
use crate::support::peer::{reset, rest};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;

/// Waits for a reset, whatever came before.
fn is_reset(mut peer: TcpStream) {
    let error = peer.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_task_that_computes_for_too_long_is_ended() {
    let _open = unchanged();
    let site = Site::start(&["--cpu-timeout", "0.05"]);
    for act in ["spin", "spin-later"] {
        is_reset(site.act(act));
    }
    let log = site.end();
    let said = log.matches("its service has computed for more than 50ms");
    assert_eq!(said.count(), 2, "{log}");
}

/// All of its worker's threads have a task that computes.
#[test]
fn tasks_that_compute_do_not_stop_others() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let spinning: Vec<_> = (0..8)
        .map(|number| site.act(["spin", "spin-later"][number % 2]))
        .collect();
    for _ in 0..10 {
        site.is_polite();
    }
    spinning.into_iter().for_each(reset);
    site.end();
}

#[test]
fn idle_connections_end() {
    let _open = unchanged();
    let site = Site::start(&["--idle-timeout", "0.1"]);
    for act in ["echo", "hand-back", "never-return", "hold", "sleep 1000000"] {
        is_reset(site.act(act));
    }
    let log = site.end();
    assert_eq!(
        log.matches("no byte either way for 100ms").count(),
        5,
        "{log}"
    );
}

#[test]
fn a_connection_has_a_total_time() {
    let _open = unchanged();
    let site = Site::start(&["--timeout", "0.1"]);
    is_reset(site.act("write-until-closed"));
    is_reset(site.act("sleep 1000000"));
    site.end();
}

#[test]
fn memory_is_limited() {
    let _open = unchanged();
    let site = Site::start(&["--max-memory", "4M"]);
    assert_eq!(site.all_of("grow 1"), "grown\n");
    assert_eq!(site.until_reset("grow 8"), "");
    let log = site.end();
    assert!(log.contains("--max-memory"), "{log}");
}

#[test]
fn streams_that_are_never_dropped_are_limited() {
    let _open = unchanged();
    let site = Site::start(&["--max-handles", "100"]);
    assert_eq!(site.all_of("leak 40"), "leaked\n");
    assert_eq!(site.until_reset("leak 60"), "");
    site.is_polite();
    let log = site.end();
    assert!(log.contains("cannot allocate another handle"), "{log}");
}

#[test]
fn timers_wake_a_task() {
    let _open = unchanged();
    let site = Site::start(&[]);
    assert_eq!(rest(&mut site.act("sleep 1")).expect("an end"), "awake\n");
    site.end();
}
