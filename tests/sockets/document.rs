//! `wit/SOCKETS.md` lists each difference, and no others.

use super::differences::{ASYNC_DIFFERENCES, DIFFERENCES, Difference};
use std::collections::BTreeSet;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../wit/SOCKETS.md");

/// The headings of the tables, and what is in each.
const TABLES: [(&str, &[Difference]); 2] = [
    ("## Differences\n", DIFFERENCES),
    ("## Differences in WASI 0.3\n", ASYNC_DIFFERENCES),
];

/// The first column of the table below this heading.
fn titles(heading: &str) -> Vec<&'static str> {
    let (_, section) = DOCUMENT.split_once(heading).expect("the section");
    let section = section.split("\n## ").next().expect("a first part");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let titles = rows.filter_map(|row| row.split(" | ").next());
    // The heading of the table, and the line below it.
    titles.skip(2).collect()
}

#[test]
fn it_tells_of_each_difference() {
    for (heading, differences) in TABLES {
        let of_the_table: Vec<_> = differences
            .iter()
            .map(|difference| difference.title)
            .collect();
        assert_eq!(titles(heading), of_the_table, "{heading}");
    }
}

#[test]
fn each_difference_has_a_test_that_shows_it() {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .expect("this program starts again");
    let tests = String::from_utf8(output.stdout).expect("text");
    assert_shown(&tests, "sockets::wasmtime::", DIFFERENCES);
    assert_shown(&tests, "sockets::v0_3::wasmtime::", ASYNC_DIFFERENCES);
}

fn assert_shown(tests: &str, prefix: &str, differences: &[Difference]) {
    let tested: BTreeSet<_> = tests
        .lines()
        .filter_map(|line| line.strip_prefix(prefix))
        .filter_map(|line| line.strip_suffix(": test"))
        .map(|name| name.replace("::ipv4::", "::").replace("::ipv6::", "::"))
        .collect();
    for difference in differences {
        for case in difference.cases() {
            assert!(tested.contains(case), "there is no test of {case}");
        }
    }
}
