//! `evconn run`, with compositions that were made before.

use super::program::{Program, free_port};
use super::{FILTER, compose, echoes, wants_a_port};
use crate::support::process::{CACHE_HOME, EVCONN, tests_cache};
use crate::support::scratch::Scratch;
use crate::support::{ask, tool, wait_for_close, within};
use std::net::Ipv4Addr;
use std::process::Command;

/// `evconn run`, which lets the program listen on that port.
fn run(port: u16, flags: &[&str], composed: &str) -> Command {
    let mut command = Command::new(EVCONN);
    command
        .args(["run", "--listen", &format!(":{port}")])
        .args(flags)
        .args([composed, &port.to_string()])
        .env(CACHE_HOME, tests_cache())
        .env_remove("RUST_LOG");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_echo_command_runs_on_it() {
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[]);
    let port = free_port();
    let mut command = run(port, &[], &composed);
    echoes(Program::start(&mut command, port, scratch.join("output"))).await;
}

#[test]
fn the_echo_command_has_its_arguments_and_its_status_there() {
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[]);
    let output = Command::new(EVCONN)
        .args(["run", &composed, "none"])
        .env(CACHE_HOME, tests_cache())
        .output();
    wants_a_port(&output.expect("it runs"));
}

/// A filter between listener and application admits the peers that it is given; others are closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_composition_of_three_lets_in_whom_it_is_told() {
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[FILTER]);
    let port = free_port();
    let only = ["--env", "EVCONN_FILTER=127.0.0.1, 127.0.0.3"];
    let mut command = run(port, &only, &composed);
    let mut program = Program::start(&mut command, port, scratch.join("output"));
    for _ in 0..3 {
        let peers = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
        let mut first = program.connect_from(peers[0]).await;
        let mut turned_away = program.connect_from(peers[1]).await;
        let mut third = program.connect_from(peers[2]).await;
        wait_for_close(&mut turned_away).await;
        for let_in in [&mut first, &mut third] {
            assert_eq!(ask(let_in, "hello\n").await, "hello\n");
        }
    }
    for (peer, said) in [("127.0.0.1", "hello\n"), ("127.0.0.2", "")] {
        let mut nc = Command::new("nc");
        nc.args(["-N", "-s", peer, "127.0.0.1", &port.to_string()]);
        let running = tokio::task::spawn_blocking(move || tool::run(&mut nc, b"hello\n"));
        let output = within("nc ends", running).await.expect("no panic");
        if let Some(output) = output {
            assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{peer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_composition_of_three_lets_in_everyone_where_it_is_told_nothing() {
    let scratch = Scratch::new();
    let composed = compose(&scratch, &[FILTER]);
    let port = free_port();
    let mut command = run(port, &[], &composed);
    let mut program = Program::start(&mut command, port, scratch.join("output"));
    let mut other = program.connect_from(Ipv4Addr::new(127, 0, 0, 2)).await;
    assert_eq!(ask(&mut other, "hello\n").await, "hello\n");
    echoes(program).await;
}
