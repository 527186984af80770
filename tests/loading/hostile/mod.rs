//! Strangers' code that takes too much of whoever loads it: each command ends with one line, and a server goes on as it
//! was.

mod binaries;

use super::command::echoes_at;
use crate::support::DEADLINE;
use crate::support::descriptors::unchanged;
use crate::support::process::{Ended, Evconn};
use crate::support::scratch::{Scratch, install};
use evconn::{Error, Service, guests};
use rustix::process::Signal;
use std::path::Path;
use std::time::Instant;

/// What no loader of these tests may exceed.
const BOUNDS: [&str; 4] = ["--compile-timeout", "30", "--compile-memory", "40M"];

const TOO_DEEP: &str = "it is too complex: its types are nested more than 100 levels deep";
/// Or too slow, if the machine has other things to do.
const TOO_LARGE: &str = "--compile-";

/// Each with what is said of it.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        (
            "types.wasm",
            binaries::nested_types(0x41, 300_000),
            TOO_DEEP,
        ),
        (
            "instances.wasm",
            binaries::nested_types(0x42, 300_000),
            TOO_DEEP,
        ),
        ("name.wasm", binaries::long_name(), "xxx…"),
        (
            "escape.wasm",
            binaries::name_that_a_terminal_obeys(),
            "\\u{1b}[2J INFO",
        ),
        ("function.wasm", binaries::giant_function(60_000), TOO_LARGE),
        ("jump.wasm", binaries::giant_jump_table(), "1800000 targets"),
        (
            "text.wat",
            binaries::text_of_parentheses(),
            "its WebAssembly text is wrong",
        ),
        (
            "nested.wat",
            binaries::nested_text(),
            "its WebAssembly text is wrong",
        ),
        ("memory.wat", binaries::large_memory(), "--max-memory"),
    ]
}

fn written(scratch: &Scratch, name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = scratch.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

/// It ends with status 2 and one short line, which is returned.
fn ends_in_a_line(command: &[&str], path: &Path, flags: &[&str]) -> String {
    let path = path.to_str().expect("text");
    let begun = Instant::now();
    let ended = Evconn::run(&[command, &[path], flags].concat());
    let Ended { status, stderr, .. } = ended;
    assert_eq!(status.code(), Some(2), "{command:?} {path}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr:?}");
    assert!(stderr.len() < 2_000, "{command:?}: {} bytes", stderr.len());
    assert!(!stderr.contains('\u{1b}'), "{command:?}: {stderr:?}");
    assert!(begun.elapsed() < DEADLINE, "{command:?} {path}");
    stderr
}

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[test]
fn no_server_starts_with_them() {
    let _open = unchanged();
    let scratch = Scratch::new();
    for (name, content, problem) in hostile() {
        let path = written(&scratch, name, &content);
        for processes in ["0", "1"] {
            let command = [&SERVE[..], &["--processes", processes]].concat();
            let said = ends_in_a_line(&command, &path, &BOUNDS);
            assert!(said.contains(problem), "{name}: {said}");
        }
    }
}

#[test]
fn none_is_compiled() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let output = scratch.join("out");
    let output = ["-o", output.to_str().expect("text")];
    for (name, content, problem) in hostile() {
        let path = written(&scratch, name, &content);
        let flags = [&BOUNDS[..], &output].concat();
        // A service's limits are those of the command that serves it.
        if name != "memory.wat" {
            let said = ends_in_a_line(&["compile"], &path, &flags);
            assert!(said.contains(problem), "{name}: {said}");
        }
    }
    assert!(!scratch.contents().contains(&"out".to_owned()));
}

#[test]
fn none_is_run_or_composed() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let output = scratch.join("out");
    let output = ["-o", output.to_str().expect("text")];
    for (name, content, _) in hostile() {
        let path = written(&scratch, name, &content);
        ends_in_a_line(&["run"], &path, &[]);
        ends_in_a_line(&["compose"], &path, &[&BOUNDS[..], &output].concat());
        ends_in_a_line(
            &["compose", "-o", output[1], "--through"],
            &path,
            &[path.to_str().expect("text")],
        );
    }
    assert!(!scratch.contents().contains(&"out".to_owned()));
}

/// A program that does nothing, with more definitions.
fn program_with(definitions: &str) -> String {
    format!(
        r#"(component {definitions}
            (core module $m (func (export "run") (result i32) (i32.const 0)))
            (core instance $m (instantiate $m))
            (func $run (result (result)) (canon lift (core func $m "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#
    )
}

#[test]
fn a_program_is_compiled_within_the_limits() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let small = written(&scratch, "small.wat", program_with("").as_bytes());
    let ended = Evconn::run(&["run", small.to_str().expect("text")]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let branches = "(block (br_if 0 (local.get 0)))".repeat(150_000);
    let large = program_with(&format!("(core module (func (param i32) {branches}))"));
    let large = written(&scratch, "large.wat", large.as_bytes());
    let said = ends_in_a_line(
        &["run", "--compile-memory", "100M", "--no-cache"],
        &large,
        &[],
    );
    assert!(said.contains(TOO_LARGE), "{said}");
    let said = ends_in_a_line(
        &["run", "--compile-timeout", "0.001", "--no-cache"],
        &large,
        &[],
    );
    assert!(said.contains("takes longer than 1ms"), "{said}");
}

#[test]
fn compiling_for_too_long_ends_in_each_command() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = written(&scratch, "wide.wasm", &binaries::wide_types(2_000));
    let output = scratch.join("out");
    let output = output.to_str().expect("text");
    let serve = [&SERVE[..], &["--processes", "0"]].concat();
    for command in [&serve[..], &SERVE, &["compile", "-o", output]] {
        let said = ends_in_a_line(command, &path, &["--compile-timeout", "0.5"]);
        assert!(said.contains("takes longer than 500ms"), "{said}");
    }
}

/// In one process and with workers: a reload with any of them keeps the old component.
#[test]
fn a_running_server_goes_on_as_it_was() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = written(&scratch, "app.wasm", guests::ECHO);
    let app = path.to_str().expect("text");
    for processes in ["0", "2"] {
        install(guests::ECHO, &path);
        let more = [&["--processes", processes], &BOUNDS[..]].concat();
        let evconn = Evconn::start(&[&SERVE[..], &[app], &more].concat());
        let address = evconn.address();
        echoes_at(address);
        for (at, (name, content, problem)) in hostile().into_iter().enumerate() {
            install(&content, &path);
            evconn.signal(Signal::HUP);
            echoes_at(address);
            let log = logged_times(&evconn, at + 1);
            echoes_at(address);
            let last = log.lines().rfind(|line| line.contains("not reloaded"));
            assert!(
                last.is_some_and(|line| line.contains(problem)),
                "{name}: {log}"
            );
        }
        evconn.signal(Signal::TERM);
        let ended = evconn.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains(" 0 failed"), "{}", ended.stderr);
    }
}

/// Waits until a reload has failed this often.
fn logged_times(evconn: &Evconn, times: usize) -> String {
    crate::support::eventually("a reload that fails", || {
        let log = evconn.logged("component not reloaded");
        (log.matches("component not reloaded").count() >= times).then_some(log)
    })
}

/// Library users have no loader: what would overflow the stack of their process is refused before it is parsed.
#[test]
fn a_library_refuses_nested_types_by_itself() {
    let _open = unchanged();
    let host = crate::support::host();
    for kind in [0x41, 0x42] {
        let error = Service::new(host, &binaries::nested_types(kind, 300_000)).err();
        let Some(Error::Load(error)) = error else {
            panic!("it is loaded");
        };
        assert_eq!(error.problem().to_string(), TOO_DEEP);
        let allowed = Service::new(host, &binaries::nested_types(kind, 90)).err();
        let problem = allowed.expect("it exports nothing").to_string();
        assert!(
            problem.contains("it exports neither evconn:tcp/handler"),
            "{problem}"
        );
    }
}
