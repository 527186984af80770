//! `SECURITY.md` names a test for each promise. This checks that the tests exist.

use crate::document::tests;

const DOCUMENT: &str = include_str!("../SECURITY.md");

/// Returns the names of tests in backquotes. With a star at its end, a name stands for all tests of a module.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:*".contains(c);
    quoted.filter(move |text| text.contains("::") && text.chars().all(is_of_a_name))
}

#[test]
fn every_test_that_it_names_exists() {
    let tests = tests();
    let exists = |name: &str| match name.strip_suffix('*') {
        None => tests.contains(name),
        Some(module) => tests.iter().any(|test| test.starts_with(module)),
    };
    let missing: Vec<_> = named(DOCUMENT).filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "there are no tests {missing:?}");
}

#[test]
fn every_promise_names_a_test() {
    let rows = DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| It ") || line.contains(" | `"));
    let without: Vec<_> = rows.filter(|row| named(row).next().is_none()).collect();
    assert!(without.is_empty(), "no test shows that {without:?}");
    assert!(named(DOCUMENT).count() > 30);
}
