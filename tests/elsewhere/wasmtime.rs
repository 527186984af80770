//! The command `wasmtime`, of the version that evconn is built with.

use super::program::{Program, free_port};
use super::{ASYNC_ECHO_COMMAND, ECHO_COMMAND, FILTER};
use super::{compose, compose_with, echoes, wants_a_port};
use crate::support::scratch::Scratch;
use crate::support::{ask, skip, tool, wait_for_close};
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::process::Command;

const LOCK: &str = include_str!("../../Cargo.lock");

/// It, if it is on the path or in `WASMTIME`, and of the same series.
fn wasmtime() -> Option<OsString> {
    let path = std::env::var_os("WASMTIME").unwrap_or_else(|| "wasmtime".into());
    let output = tool::run(Command::new(&path).arg("--version"), b"")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, locked) = LOCK
        .split_once("name = \"wasmtime\"\nversion = \"")
        .expect("it is locked");
    let (series, _) = locked.split_once('.').expect("a version");
    let is_same = said.starts_with(&format!("wasmtime {series}."));
    if !is_same {
        let first = said.lines().next().unwrap_or_default();
        skip(&format!("{first:?} is not version {series} of wasmtime"));
    }
    is_same.then_some(path)
}

/// `wasmtime run`, with TCP and these flags.
fn run(wasmtime: &OsString, flags: &[&str], composed: &str) -> Command {
    let mut command = Command::new(wasmtime);
    command
        .args(["run", "-S", "inherit-network", "-S", "tcp"])
        .args(flags)
        .arg(composed);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_echo_command_runs_on_it() {
    let Some(wasmtime) = wasmtime() else { return };
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[]);
    let port = free_port();
    let mut command = run(&wasmtime, &[], &composed);
    let command = command.arg(port.to_string());
    echoes(Program::start(command, port, scratch.join("output"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_wasi_0_3_runs_on_it() {
    let Some(wasmtime) = wasmtime() else { return };
    let scratch = Scratch::new();
    let composed = compose_with(&scratch, ASYNC_ECHO_COMMAND, &[]);
    let port = free_port();
    let mut command = run(&wasmtime, &[], &composed);
    let command = command.arg(port.to_string());
    echoes(Program::start(command, port, scratch.join("output"))).await;
}

#[test]
fn the_echo_command_has_its_arguments_and_its_status_there() {
    let Some(wasmtime) = wasmtime() else { return };
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[]);
    let output = run(&wasmtime, &[], &composed).arg("none").output();
    wants_a_port(&output.expect("it runs"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_composition_of_three_runs_on_it() {
    let Some(wasmtime) = wasmtime() else { return };
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[FILTER]);
    let port = free_port();
    let mut command = run(&wasmtime, &["--env", "EVCONN_FILTER=127.0.0.1"], &composed);
    let command = command.arg(port.to_string());
    let mut program = Program::start(command, port, scratch.join("output"));
    let mut let_in = program.connect().await;
    let mut turned_away = program.connect_from(Ipv4Addr::new(127, 0, 0, 2)).await;
    wait_for_close(&mut turned_away).await;
    assert_eq!(ask(&mut let_in, "hello\n").await, "hello\n");
}

/// What is composed is what evconn takes, and nothing that wasmtime has not.
#[test]
fn without_the_listener_it_does_not_run() {
    let Some(wasmtime) = wasmtime() else { return };
    let output = run(&wasmtime, &[], ECHO_COMMAND).output().expect("it runs");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("evconn:tcp/listener"), "{errors}");
}
