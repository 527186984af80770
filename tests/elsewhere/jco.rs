//! Node.js with jco, which translates components to JavaScript and provides WASI.

use super::program::{Program, free_port};
use super::{compose, echoes, wants_a_port};
use crate::support::scratch::Scratch;
use crate::support::tool;
use std::process::Command;

/// Returns `jco run`, which keeps its files in `scratch`. None if it is not installed, which is printed.
fn run(scratch: &Scratch, composed: &str) -> Option<Command> {
    tool::run(Command::new("jco").arg("--version"), b"")?;
    let mut command = Command::new("jco");
    command.args(["run", composed]);
    command.env("TMPDIR", scratch.join(""));
    Some(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_echo_command_runs_on_it() {
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[]);
    let Some(mut command) = run(&scratch, &composed) else {
        return;
    };
    let port = free_port();
    let command = command.arg(port.to_string());
    echoes(Program::start(command, port, scratch.join("output"))).await;
}

#[test]
fn the_echo_command_has_its_arguments_and_its_status_there() {
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[]);
    if let Some(mut command) = run(&scratch, &composed) {
        wants_a_port(&command.arg("none").output().expect("it runs"));
    }
}
