//! The documentation lists the calls as the table does.

use crate::sys::sandbox::linux::calls::table::{GROUPS, Group};
use std::collections::BTreeSet;

/// Read at run time: a package of this crate compiles without the page.
fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
    std::fs::read_to_string(path).expect("the page in the repository")
}

/// The calls of the page's row for this purpose.
fn documented<'a>(page: &'a str, purpose: &str) -> BTreeSet<&'a str> {
    let row = page.lines().find_map(|line| {
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
    let page = page();
    for group in GROUPS {
        assert_eq!(
            documented(&page, group.purpose),
            listed(group),
            "{}",
            group.purpose
        );
    }
}

#[test]
fn no_row_is_left_over() {
    let page = page();
    let (_, list) = page
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
