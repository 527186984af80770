//! The README shows the examples as they are.

const README: &str = include_str!("../README.md");

#[test]
fn the_services_are_the_examples() {
    let greet = include_str!("../guest/examples/greet/src/lib.rs");
    let echo = include_str!("../guest/examples/echo/src/lib.rs");
    let first = README.find(greet).expect("greet");
    let second = README.find(echo).expect("echo");
    assert!(first < second);
}

#[test]
fn the_server_is_the_serve_example() {
    let example = include_str!("../host/evconn/examples/serve.rs");
    let code = example
        .find("use evconn")
        .map(|start| &example[start..])
        .expect("code");
    assert!(README.contains(code));
}

#[test]
fn the_program_is_that_of_the_guide() {
    let guide = include_str!("../guest/sdk/docs/guide.md");
    let start = README.find("use evconn_guest::{").expect("a program");
    let program = README[start..].split("```").next().expect("its end");
    assert!(guide.contains(program));
}

/// The figures, in the order of the columns.
const SERVERS: [&str; 5] = [
    "evconn",
    "evconn-reuse",
    "evconn-copy",
    "evconn-one",
    "libevent",
];

/// The cells of a table's line.
fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(str::trim).collect()
}

/// What the benchmark has found: of this work, in this column, for this server. Nothing, if it was not
/// measured.
fn measured(work: &str, column: &str, server: &str) -> &'static str {
    let results = include_str!("../docs/benchmarks/results.md");
    let mut sections = results.split("\n## ").skip(1);
    let section =
        sections.find(|section| section.lines().next().is_some_and(|l| l.ends_with(work)));
    let section = section.unwrap_or_else(|| panic!("nothing is measured of {work:?}"));
    let mut lines = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(cells);
    let head = lines.next().expect("a table");
    let place = head.iter().position(|cell| *cell == column).expect(column);
    let row = lines.find(|row| row[0] == server);
    row.map_or("", |row| row[place].split(' ').next().expect("a figure"))
}

#[test]
fn the_figures_are_those_of_the_last_run() {
    let start = README.find("| work | fresh instance |").expect("a table");
    let table = README[start..].split("\n\n").next().expect("its end");
    let mut last = "";
    let mut rows = 0;
    for row in table.lines().skip(2).map(cells) {
        let (work, column) = match row[0].starts_with("their p99") {
            true => (last, "p99 to tokio"),
            false => (row[0], "to tokio"),
        };
        for (server, figure) in SERVERS.iter().zip(&row[1..]) {
            let expected = measured(work, column, server);
            assert_eq!(*figure, expected, "{server}: {}", row[0]);
        }
        assert_eq!(row.len(), 1 + SERVERS.len());
        last = work;
        rows += 1;
    }
    assert!(rows >= 5, "{table}");
}
