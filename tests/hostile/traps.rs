//! A trap before each call of the host, one connection after the other: with a limit of one connection, what is
//! left of one would keep the next one out.

use super::{HOSTILE, Site, granted};
use crate::support::peer::{connect, rest};
use std::io::{ErrorKind, Write};

/// How many calls there are at least: fewer would be another program.
const CALLS: usize = 50;

#[test]
fn a_trap_at_any_call_of_the_host_leaves_nothing_behind() {
    let (_scratch, grants) = granted();
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let one = ["--max-connections", "1"];
    let site = Site::start(HOSTILE, &[&one[..], &grants].concat());
    let traps = (0..).take_while(|&call| traps_at(&site, call)).count();
    assert!(traps >= CALLS, "{traps} calls");
    site.is_polite();
    let log = site.end();
    let told = log
        .lines()
        .filter(|line| line.contains("connection failed: wasm trap: "));
    assert_eq!(told.count(), traps, "{log}");
    let served = format!(
        "served {} connections, of which 0 were refused, {traps} failed",
        traps + 2
    );
    assert!(log.contains(&served), "{log}");
}

/// Returns whether a connection traps before this call. If it has made all of them, it ends well.
fn traps_at(site: &Site, call: usize) -> bool {
    let mut peer = connect(site.address);
    writeln!(peer, "trap {call}").expect("sent");
    match rest(&mut peer) {
        Ok(text) => {
            assert_eq!(text, "ok\nwritten before the trap\n");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{call}: {error}");
            true
        }
    }
}
