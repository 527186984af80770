//! `evconn compose`, `evconn run` and `evconn wit`, and the library's types for them.

mod asynchronous;
mod compose;
mod input;
mod library;
mod network;
mod refused;
mod run;
mod wit;

use crate::support::process::{EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use evconn::guests;
use std::process::{Command, Stdio};

const CASES: &[u8] = evconn_artifacts::SDK;
const ECHO_COMMAND: &[u8] = evconn_artifacts::ECHO_COMMAND;
const FILTER: &[u8] = evconn_artifacts::FILTER;
const SOCKETS: &[u8] = evconn_artifacts::SOCKETS;
const FORWARD: &[u8] = evconn_artifacts::FORWARD;

/// The listener's name in components.
const LISTENER: &str = "evconn:tcp/listener@0.1.0";

/// A directory with components in it: a command (`app`), a middleware (`filter`) and a service (`echo`).
fn with_components() -> Scratch {
    let scratch = Scratch::new();
    for (name, component) in [
        ("app.wasm", ECHO_COMMAND),
        ("echo.wasm", guests::ECHO),
        ("filter.wasm", FILTER),
    ] {
        write(&scratch, name, component);
    }
    scratch
}

/// What is in such a directory.
const COMPONENTS: [&str; 3] = ["app.wasm", "echo.wasm", "filter.wasm"];

fn write(directory: &Scratch, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(directory.join(name), bytes).expect("written");
}

fn read(directory: &Scratch, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).expect("it is there")
}

/// The command in a directory.
fn command(directory: &Scratch, arguments: &[&str]) -> Command {
    let mut command = Command::new(EVCONN);
    command
        .args(arguments)
        .current_dir(directory.join("."))
        .stdin(Stdio::null());
    command
}

fn evconn(directory: &Scratch, arguments: &[&str]) -> Evconn {
    Evconn::start_by(&mut command(directory, arguments))
}

/// Runs it, checks that it succeeds without messages, and returns its output.
fn says(directory: &Scratch, arguments: &[&str]) -> String {
    let Ended {
        status,
        stdout,
        stderr,
    } = evconn(directory, arguments).wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
    stdout
}

/// Checks that it failed because of bad input, and returns the one line that it printed.
fn bad_input(evconn: Evconn) -> String {
    let Ended {
        status,
        stdout,
        stderr,
    } = evconn.wait();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let problem = stderr.trim_end().strip_prefix("evconn: ");
    problem.expect("who says so").to_owned()
}

/// The text of a component that exports `wasi:cli/run`, with this as the body of the function.
fn run_component(body: &str) -> String {
    format!(
        r#"(component
            (core module $m (func $run (export "run") (result i32) {body}))
            (core instance $m (instantiate $m))
            (func $run (result (result)) (canon lift (core func $m "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#
    )
}
