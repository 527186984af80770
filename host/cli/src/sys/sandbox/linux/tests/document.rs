//! The documentation lists the calls as the table does.

use crate::sys::sandbox::linux::calls::table::{GROUPS, Group};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../../../../../docs/sandbox.md");

/// The calls of the page's row for this purpose.
fn documented(purpose: &str) -> BTreeSet<&'static str> {
    let row = PAGE.lines().find_map(|line| {
        let cells = line.strip_prefix("| ")?;
        cells.strip_prefix(purpose)?.strip_prefix(" | ")
    });
    let row = row.unwrap_or_else(|| panic!("no row for {purpose:?}"));
    row.split('`').skip(1).step_by(2).collect()
}

fn listed(group: &Group) -> BTreeSet<&'static str> {
    let names = group.calls.iter().map(|call| call.name);
    names.map(|name| name.trim_start_matches("SYS_")).collect()
}

#[test]
fn each_group_is_a_row_with_its_calls() {
    for group in GROUPS {
        assert_eq!(
            documented(group.purpose),
            listed(group),
            "{}",
            group.purpose
        );
    }
}

#[test]
fn no_row_is_left_over() {
    let (_, list) = PAGE
        .split_once("| purpose | system calls |")
        .expect("the table");
    let rows = list
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    // Other architectures do not have these calls.
    let here = |row: &&str| cfg!(target_arch = "x86_64") || !row.starts_with("| x86_64: ");
    assert_eq!(rows.filter(here).count(), GROUPS.len());
}
