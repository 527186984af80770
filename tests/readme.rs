//! The README and the pages in `docs/` show the examples as they are, and their figures, flags, defaults and
//! links are right.

use crate::help;
use crate::support::process::EVCONN;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const README: &str = include_str!("../README.md");
const WRITING: &str = include_str!("../docs/writing-a-service.md");
const COMPOSING: &str = include_str!("../docs/composing.md");
const PROGRAMS: &str = include_str!("../docs/programs.md");
const EMBEDDING: &str = include_str!("../docs/embedding.md");
const BENCHMARKS: &str = include_str!("../docs/benchmarks.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README and all pages in `docs/`, with their paths.
fn pages() -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(root().join("docs")).expect("the folder");
    let pages = files.map(|file| file.expect("a file").path());
    pages
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root().join("README.md")])
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a page");
            (path, text)
        })
        .collect()
}

#[test]
fn the_services_are_the_examples() {
    let greet = include_str!("../guest/examples/greet/src/lib.rs");
    let echo = include_str!("../guest/examples/echo/src/lib.rs");
    assert!(README.contains(greet));
    assert!(WRITING.contains(greet) && WRITING.contains(echo));
}

#[test]
fn the_server_is_the_serve_example() {
    let example = include_str!("../host/evconn/examples/serve.rs");
    let code = example
        .find("use evconn")
        .map(|start| &example[start..])
        .expect("code");
    assert!(README.contains(code) && EMBEDDING.contains(code));
}

#[test]
fn the_program_is_that_of_the_guide() {
    let guide = include_str!("../guest/sdk/docs/guide.md");
    let start = COMPOSING.find("use evconn_guest::{").expect("a program");
    let program = COMPOSING[start..].split("```").next().expect("its end");
    assert!(guide.contains(program));
}

#[test]
fn the_program_that_is_served_is_that_of_the_tests() {
    assert!(PROGRAMS.contains(include_str!("programs/std-echo/src/main.rs")));
}

#[test]
fn the_readme_is_short() {
    let words = README.split_whitespace().count();
    assert!(words <= 900, "{words} words");
}

#[test]
fn every_page_is_listed() {
    let list = std::fs::read_to_string(root().join("docs/README.md")).expect("the list");
    for (path, _) in pages() {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name");
        let link = format!("]({name})");
        assert!(name == "README.md" || list.contains(&link), "{name}");
    }
}

#[test]
fn links_lead_to_files() {
    let mut count = 0;
    for (path, text) in pages() {
        let folder = path.parent().expect("a folder");
        for link in text.split("](").skip(1) {
            let (target, _) = link.split_once(')').expect("its end");
            let file = target.split('#').next().unwrap_or_default();
            if !file.starts_with("http") {
                let target = folder.join(file);
                assert!(target.exists(), "{}: {target:?}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count} links");
}

/// The flags of a subcommand, with the defaults that its help states.
fn flags(subcommand: &str) -> BTreeMap<String, String> {
    let output = Command::new(EVCONN).args([subcommand, "--help"]).output();
    let help = String::from_utf8(output.expect("the help").stdout).expect("text");
    let flags = help::flags(&help).into_iter();
    flags
        .map(|(name, default)| (format!("--{name}"), default))
        .collect()
}

/// The flags in a text, which stand in backquotes.
fn flags_in(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(str::split_whitespace);
    words.filter(|word| word.starts_with("--")).collect()
}

#[test]
fn flags_exist() {
    let known = ["serve", "run", "top"].map(flags);
    // Of all commands, of `evconn wit`, of jco, of cargo and of rustc.
    let others = [
        "--backend",
        "--cfg",
        "--example",
        "--help",
        "--locked",
        "--log-format",
        "--open",
        "--path",
        "--release",
        "--wasi",
    ];
    let mut count = 0;
    for (path, text) in pages() {
        // The flags there are the benchmark's.
        if path.ends_with("benchmarks.md") {
            continue;
        }
        for flag in flags_in(&text.replace("```", "")) {
            let exists = known.iter().any(|flags| flags.contains_key(flag));
            assert!(exists || others.contains(&flag), "{path:?}: {flag}");
            count += 1;
        }
    }
    assert!(count > 50, "{count} flags");
}

/// As the help has it: `none` is no limit, and seconds have no unit there.
fn as_in_help(default: &str) -> &str {
    match default {
        "none" => "no limit",
        other => other.trim_end_matches(" s"),
    }
}

#[test]
fn defaults_are_those_of_the_help() {
    let flags = flags("serve");
    let limits = include_str!("../docs/limits.md");
    let tls = include_str!("../docs/tls-and-proxies.md");
    let rows = limits.lines().chain(tls.lines());
    let mut count = 0;
    for row in rows.filter(|row| row.starts_with("| `--")).map(cells) {
        let defaults = row[1].split(", ").map(as_in_help);
        for (flag, default) in flags_in(row[0]).into_iter().zip(defaults) {
            let expected = flags[flag].as_str();
            let is_same = default == expected || expected.is_empty();
            assert!(is_same, "{flag}: {default} rather than {expected}");
            count += usize::from(!expected.is_empty());
        }
    }
    assert!(count >= 13, "{count} defaults");
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
    let start = BENCHMARKS
        .find("| work | fresh instance |")
        .expect("a table");
    let table = BENCHMARKS[start..].split("\n\n").next().expect("its end");
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

#[test]
fn the_readme_s_figure_is_the_range_of_the_rates() {
    let start = BENCHMARKS
        .find("| work | fresh instance |")
        .expect("a table");
    let table = BENCHMARKS[start..].split("\n\n").next().expect("its end");
    let rows = table.lines().skip(2).map(cells);
    let rates = rows.filter(|row| !row[0].starts_with("their p99"));
    let mut rates: Vec<&str> = rates.map(|row| row[1]).collect();
    rates.sort_unstable();
    let (Some(least), Some(most)) = (rates.first(), rates.last()) else {
        panic!("no rates")
    };
    let text = format!("reaches {least} to {most} of the rates of native tokio");
    assert!(README.contains(&text), "{text}");
}
