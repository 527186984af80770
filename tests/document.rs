//! `wit/SEMANTICS.md` names a test for each promise. This checks that the tests exist.
//!
//! A name stands for one test, or for one test for each implementation of the sockets.

use std::collections::BTreeSet;
use std::process::Command;

const DOCUMENT: &str = include_str!("../wit/SEMANTICS.md");

/// The names of all tests, as this program lists them.
pub fn tests() -> BTreeSet<String> {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .expect("this program starts again");
    let list = String::from_utf8(output.stdout).expect("text");
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// Returns the names of tests in backquotes. A star stands for the pair of tests over IPv4 and IPv6.
fn named() -> BTreeSet<&'static str> {
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    let is_name = |text: &str| {
        let of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:*".contains(c);
        text.contains("::") && text.chars().all(of_a_name)
    };
    quoted
        .filter(|text| is_name(text) && !text.starts_with("::"))
        .collect()
}

#[test]
fn every_test_that_it_names_exists() {
    let tests = tests();
    let is_one = |name: &str| {
        let on_both = ["own", "wasmtime"].map(|on| format!("{on}::{name}"));
        tests.contains(name) || on_both.iter().all(|name| tests.contains(name))
    };
    let exists = |name: &str| match name.split_once('*') {
        None => is_one(name),
        Some((before, after)) => ["ipv4", "ipv6"]
            .iter()
            .all(|family| is_one(&format!("{before}{family}{after}"))),
    };
    let missing: Vec<_> = named().into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "there are no tests {missing:?}");
    assert!(named().len() > 100, "only {} are named", named().len());
}

#[test]
fn it_names_a_test_for_every_call_in_every_state() {
    let named = named();
    for state in ["accepting", "backing_off", "paused", "disabled", "stopped"] {
        let module = format!("semantics::{state}::");
        let tests = tests();
        let on_own = tests.iter().filter_map(|test| test.strip_prefix("own::"));
        let of_this_state: Vec<_> = on_own.filter(|test| test.starts_with(&module)).collect();
        assert_eq!(of_this_state.len(), 14, "{state}");
        for test in of_this_state {
            assert!(named.contains(test), "{test} is not named");
        }
    }
}
