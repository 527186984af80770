//! What guests do, with each act in several connections at a time.

use super::{HOSTILE, Site, granted, reset};
use crate::support::eventually;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;

/// What computes for ever ends by this limit.
const CPU: [&str; 2] = ["--cpu-timeout", "0.05"];
const HAS_COMPUTED: &str = "its service has computed for more than 50ms";

/// Beside connections with each of these acts a polite one is served. The server ends them, and its log says
/// why.
fn end(flags: &[&str], acts: &[&str], why: &str) {
    let site = Site::start(HOSTILE, flags);
    for act in acts {
        let before = site.told(why);
        let hostile = site.act(act);
        site.is_polite();
        for mut peer in hostile {
            let error = drain(&mut peer).expect_err("a reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{act}: {error}");
        }
        eventually(&format!("{act}: {why}"), || {
            (site.told(why) > before).then_some(())
        });
    }
    site.is_polite();
    site.end();
}

/// The same, where the peers end the connections.
fn stay(flags: &[&str], acts: &[&str]) {
    let site = Site::start(HOSTILE, flags);
    for act in acts {
        let hostile = site.act(act);
        site.is_polite();
        hostile.into_iter().for_each(reset);
        site.is_as_before();
    }
    site.is_polite();
    let log = site.end();
    assert!(log.contains(", 0 failed, "), "{log}");
}

/// Reads to the end, whatever comes.
fn drain(peer: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1 << 16];
    while peer.read(&mut buffer)? > 0 {}
    Ok(())
}

#[test]
fn guests_that_compute() {
    end(&CPU, &["spin", "compute 5 1"], HAS_COMPUTED);
}

/// A single instruction takes as long as the memory is large.
#[test]
fn guests_that_fill_and_copy_memory() {
    end(&CPU, &["fill 8", "copy 8"], HAS_COMPUTED);
}

/// The host runs the guest while it returns a list, and when it has read a result.
#[test]
fn guests_that_compute_when_they_are_to_allocate_or_free() {
    end(&CPU, &["realloc spin", "post-return spin"], HAS_COMPUTED);
}

#[test]
fn guests_that_trap_when_they_are_to_allocate_or_free() {
    let why = "wasm `unreachable` instruction executed";
    end(&[], &["realloc trap", "post-return trap"], why);
}

#[test]
fn guests_that_call_the_host_in_a_loop() {
    let acts = [
        "calls clock",
        "calls random",
        "calls random-large",
        "calls insecure-large",
        "calls address",
        "calls option",
        "calls environment",
        "calls timer",
        "calls yield",
        "calls poll",
        "calls lookup",
        "calls lookup-long",
        "calls flush",
        "calls unready",
    ];
    end(&CPU, &acts, HAS_COMPUTED);
}

#[test]
fn guests_that_print_in_a_loop() {
    let acts = ["calls print", "calls print-long"];
    end(&CPU, &acts, HAS_COMPUTED);
}

#[test]
fn guests_that_run_out_of_stack() {
    end(&[], &["recurse"], "recurse less deep");
}

#[test]
fn guests_that_run_out_of_memory() {
    end(&["--max-memory", "8M"], &["grow"], "it has grown by ");
}

#[test]
fn guests_that_fail_with_long_errors() {
    end(&[], &["fail 1000000"], "the service gave up: \"xxx");
}

/// Resources that only the number of handles limits.
const HANDLES: [&str; 11] = [
    "clocks",
    "timers",
    "pollables",
    "writable",
    "closing",
    "stdin",
    "stdout",
    "stderr",
    "networks",
    "directories",
    "file-streams",
];

/// Resources that have a limit of their own, beyond which a guest gets none, and what the log says then.
const LIMITED: [(&str, &str); 5] = [
    ("lookups", "may look up no more than 4 names at a time"),
    ("files", "may have no more than 64 descriptors"),
    ("listings", "may have no more than 64 descriptors"),
    ("tcp", "may have no more than 64 descriptors"),
    ("udp", "has used up the 1048576 bytes that it may have"),
];

fn hoards(kinds: &[&str], count: u32) -> Vec<String> {
    let act = |kind: &&str| format!("hoard {kind} {count}");
    kinds.iter().map(act).collect()
}

#[test]
fn guests_that_hoard_more_than_they_may() {
    let (_scratch, flags) = granted();
    let acts = hoards(&HANDLES, 2_000);
    let why = "its service has more than 1024 handles";
    end(&borrowed(&flags), &borrowed(&acts), why);
}

#[test]
fn guests_that_hoard_until_they_get_no_more() {
    let (_scratch, flags) = granted();
    let site = Site::start(HOSTILE, &borrowed(&flags));
    for (kind, why) in LIMITED {
        let before = site.told(why);
        let hostile = site.act(&format!("hoard {kind} 2000"));
        eventually(&format!("{kind}: {why}"), || {
            (site.told(why) > before).then_some(())
        });
        site.is_polite();
        hostile.into_iter().for_each(reset);
        site.is_as_before();
    }
    let log = site.end();
    assert!(log.contains(", 0 failed, "), "{log}");
}

#[test]
fn guests_that_hoard_and_stay() {
    let (_scratch, flags) = granted();
    let acts = hoards(&HANDLES, 100);
    stay(&borrowed(&flags), &borrowed(&acts));
}

/// Their peers are gone, and nobody else ends them.
#[test]
fn guests_without_an_end() {
    stay(
        &[],
        &["spin", "sleep", "compute 1 1", "fill 8", "calls poll"],
    );
}

/// Their peers read nothing.
#[test]
fn guests_that_write_for_ever() {
    stay(&[], &["calls write", "calls zeroes"]);
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
