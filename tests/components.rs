//! The components that are shipped are those that the sources make, and each guest has a test.

use crate::support::skip;
use evconn_artifacts::shipped;
use std::fs;
use std::path::Path;

const HOW: &str = "`cargo run --release -p evconn-artifacts` makes them anew";

#[test]
fn the_shipped_components_are_made_of_these_sources() {
    let expected = shipped::sources().expect("the sources");
    let found = fs::read_to_string(shipped::directory().join("SOURCES")).expect("SOURCES");
    let changed: Vec<_> = expected
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .collect();
    assert!(
        changed.is_empty(),
        "the components in host/components are older than {changed:#?}: {HOW}"
    );
    assert_eq!(found, expected, "{HOW}");
}

#[test]
fn the_shipped_components_are_what_their_sources_make() {
    if !shipped::is_pinned().expect("a toolchain") {
        skip("another rustc than that of rust-toolchain.toml makes other components");
        return;
    }
    for (name, made) in shipped::COMPONENTS {
        let found = fs::read(shipped::directory().join(name)).expect(name);
        assert!(found == made, "{name} differs from what was built: {HOW}");
    }
}

#[test]
fn each_guest_is_used_by_a_test() {
    let mut tests = String::new();
    read_tests(&shipped::workspace().join("tests"), &mut tests);
    let used = |name: &str| {
        let constant = format!("evconn_artifacts::{name}");
        tests.match_indices(&constant).any(|(start, _)| {
            let rest = &tests[start + constant.len()..];
            let rest = rest.strip_prefix("_PATH").unwrap_or(rest);
            !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    };
    let is_shipped = |name: &str| ["ASYNC_LISTENER", "ECHO", "LISTENER"].contains(&name);
    let unused: Vec<_> = evconn_artifacts::NAMES
        .iter()
        .filter(|name| !is_shipped(name) && !used(name))
        .collect();
    assert!(unused.is_empty(), "no test uses {unused:?}");
}

/// Appends the text of the tests in this folder, the guests' own left out.
fn read_tests(folder: &Path, tests: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_guest = path.ends_with("tests/programs") || path.ends_with("tests/artifacts");
        if path.is_dir() && !is_guest {
            read_tests(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tests.push_str(&fs::read_to_string(&path).expect("a test"));
        }
    }
}
