//! `wit/SOCKETS.md` lists each difference, and no others.

use super::differences::DIFFERENCES;
use std::collections::BTreeSet;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../wit/SOCKETS.md");

/// The first column of the table below the heading "Differences".
fn titles() -> Vec<&'static str> {
    let (_, section) = DOCUMENT.split_once("## Differences").expect("the section");
    let section = section.split("\n## ").next().expect("a first part");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let titles = rows.filter_map(|row| row.split(" | ").next());
    // The heading of the table, and the line below it.
    titles.skip(2).collect()
}

#[test]
fn it_tells_of_each_difference() {
    let of_the_table: Vec<_> = DIFFERENCES
        .iter()
        .map(|difference| difference.title)
        .collect();
    assert_eq!(titles(), of_the_table);
}

#[test]
fn each_difference_has_a_test_that_shows_it() {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .expect("this program starts again");
    let tests = String::from_utf8(output.stdout).expect("text");
    let tested: BTreeSet<_> = tests
        .lines()
        .filter_map(|line| line.strip_prefix("sockets::wasmtime::"))
        .filter_map(|line| line.strip_suffix(": test"))
        .map(|name| name.replace("::ipv4::", "::").replace("::ipv6::", "::"))
        .collect();
    for difference in DIFFERENCES {
        for case in difference.cases() {
            assert!(tested.contains(case), "there is no test of {case}");
        }
    }
}
