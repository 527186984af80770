//! What is called of a component that exports a handler, a program, or both.

use super::{end, lines, serve_file};
use crate::support::descriptors::unchanged;
use crate::support::host;
use crate::support::process::Evconn;
use crate::support::wasip2::program;
use evconn::{EntryPoint, Error, LoadProblem, Service, guests};

const BOTH: &str = evconn_artifacts::BOTH_PATH;

const NOTE: &str = "the component exports a handler, which is called, and wasi:cli/run";

/// What it answers, and what it logs.
fn served(flags: &[&str]) -> (Vec<String>, String) {
    let evconn = serve_file(BOTH, flags);
    let answer = lines(evconn.address(), "");
    (answer.expect("a regular end"), end(evconn))
}

#[test]
fn the_handler_is_called_unless_a_flag_says_otherwise() {
    let _open = unchanged();
    let (answer, log) = served(&[]);
    assert_eq!(answer, ["handler"]);
    assert!(log.contains(NOTE), "{log}");
    for (name, answers) in [("handler", "handler"), ("run", "program")] {
        for processes in ["0", "1"] {
            let (answer, log) = served(&["--entry-point", name, "--processes", processes]);
            assert_eq!(answer, [answers]);
            assert!(!log.contains(NOTE), "{log}");
        }
    }
}

#[test]
fn one_that_it_does_not_have_is_refused() {
    let _open = unchanged();
    let listen = ["--listen", "127.0.0.1:0", "--entry-point"];
    let ended = Evconn::run(
        &[
            &["serve", evconn_artifacts::GREET_PATH],
            &listen[..],
            &["run"],
        ]
        .concat(),
    );
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.stderr.contains(
            "it does not export wasi:cli/run@0.2 or 0.3; it exports evconn:tcp/handler@0.1.0"
        ),
        "{}",
        ended.stderr
    );
    let Some(path) = program("std-echo") else {
        return;
    };
    let path = path.to_str().expect("text");
    let ended = Evconn::run(&[&["serve", path], &listen[..], &["handler"]].concat());
    assert_eq!(ended.status.code(), Some(2));
    let said = "it does not export evconn:tcp/handler@0.1.0 or 0.3.0; it exports wasi:cli/run@0.2";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn the_library_tells_them_apart() {
    let _open = unchanged();
    let both = Service::new(host(), evconn_artifacts::BOTH).expect("a service");
    assert_eq!(both.entry_points(), [EntryPoint::Handler, EntryPoint::Run]);
    assert_eq!(both.entry_point(), EntryPoint::Handler);
    assert!(both.composition().is_some());
    let run = both.with_entry_point(EntryPoint::Run).expect("it has both");
    assert_eq!(run.entry_point(), EntryPoint::Run);
    let echo = Service::new(host(), guests::ECHO).expect("a service");
    assert!(echo.composition().is_none());
    let Err(Error::Load(error)) = echo.with_entry_point(EntryPoint::Run) else {
        panic!("it is no program");
    };
    assert!(matches!(
        error.problem(),
        LoadProblem::NoEntryPoint {
            entry_point: EntryPoint::Run,
            ..
        }
    ));
}
