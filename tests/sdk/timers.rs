//! Timers, and how a loop ends.

use super::cases;
use super::program::Program;

cases!(
    in_order,
    cancelled,
    repeated,
    in_no_time,
    exit_after,
    nothing_left,
    one_turn,
);

async fn in_order(program: Program) {
    let lines = [
        "timer: first",
        "timer: second",
        "timer: soon",
        "timer: at once",
        "timer: later",
        "ended: NothingLeft",
    ];
    let ended = program.start().end().await;
    // On a busy machine both may be due in one turn.
    let mut said = ended.lines;
    let at_once = said.iter().position(|line| line == "timer: at once");
    let at_once = said.remove(at_once.expect("it is said"));
    said.insert(3, at_once);
    assert_eq!(said, lines);
}

async fn cancelled(program: Program) {
    let lines = [
        "timer: cancels",
        "ended: NothingLeft",
        "timer: itself",
        "ended: NothingLeft",
    ];
    program.says(&lines).await;
}

async fn repeated(program: Program) {
    program
        .says(&["tick: 3", "tick: 2", "tick: 1", "ended: Break"])
        .await;
}

async fn in_no_time(program: Program) {
    program.says(&["timer: soon", "ended: NothingLeft"]).await;
}

async fn exit_after(program: Program) {
    let lines = ["ended: Exit", "timer: once", "ended: Exit", "ended: Exit"];
    program.says(&lines).await;
}

async fn nothing_left(program: Program) {
    let lines = [
        "ended: NothingLeft",
        "run_once: Some(NothingLeft)",
        "run_ready: Some(NothingLeft)",
    ];
    program.says(&lines).await;
}

async fn one_turn(program: Program) {
    let lines = [
        "run_ready: None",
        "timer: soon",
        "run_once: None",
        "run_once: Some(NothingLeft)",
    ];
    program.says(&lines).await;
}
