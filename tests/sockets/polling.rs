//! Pollables: what is ready when, and that nothing starves.

use super::case::Case;
use crate::support::{connect, within};
use std::future::Future;
use std::sync::mpsc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

pub async fn one_for_all_states(case: Case) {
    case.says(&[
        "unbound: yes",
        "bound: yes",
        "listening: no",
        "with a peer: yes",
        "without it: no",
    ])
    .await;
}

pub async fn of_a_connect(case: Case) {
    case.says(&["finish: ok", "connected: yes"]).await;
}

pub async fn of_a_failed_connect(case: Case) {
    case.says(&["finish: connection-refused", "closed: yes"])
        .await;
}

pub async fn level_triggered(case: Case) {
    case.says(&[
        "first: yes",
        "second: yes",
        "no third: no",
        "accept: would-block",
    ])
    .await;
}

pub async fn twice_in_a_list(case: Case) {
    case.says(&["ready: [0, 2]"]).await;
}

pub async fn two_of_one_stream(case: Case) {
    case.says(&["before: no", "after: yes"]).await;
}

pub async fn beside_an_always_ready_one(case: Case) {
    starves_nobody(case, beside).await;
}

async fn beside(case: Case) -> bool {
    let mut program = case.start(&[]);
    let address = program.address().await;
    others().await;
    let _peer = TcpStream::connect(address).await;
    program.end().await.1.is_ok()
}

pub async fn beside_an_idle_output(case: Case) {
    starves_nobody(case, beside_output).await;
}

async fn beside_output(case: Case) -> bool {
    let mut program = case.start(&[]);
    let address = program.address().await;
    let peer = TcpStream::connect(address).await;
    others().await;
    if let Ok(mut peer) = peer {
        // Whoever was interrupted reads it no more.
        let _ = peer.write_all(b"x").await;
    }
    program.end().await.1.is_ok()
}

pub async fn beside_an_ended_input(case: Case) {
    starves_nobody(case, beside_ended).await;
}

async fn beside_ended(case: Case) -> bool {
    let mut program = case.start(&[]);
    let address = program.address().await;
    drop(TcpStream::connect(address).await);
    others().await;
    let _second = TcpStream::connect(address).await;
    program.end().await.1.is_ok()
}

pub async fn busy_beside_quiet(case: Case) {
    let mut program = case.start(&[]);
    let address = program.address().await;
    let mut busy = connect(address).await;
    let mut quiet = connect(address).await;
    let sender = tokio::spawn(async move {
        // Until the program has gone.
        while busy.write_all(&[0; 1 << 16]).await.is_ok() {}
    });
    program.hear("busy").await;
    let _another = connect(address).await;
    quiet.write_all(b"x").await.expect("sent");
    program
        .ends(&["heard the quiet one: yes", "accepted another: yes"])
        .await;
    within("the peer ends", sender).await.expect("no panic");
}

pub async fn spinning(case: Case) {
    starves_nobody(case, spin).await;
}

async fn spin(case: Case) -> bool {
    let mut program = case.start(&[]);
    let address = program.address().await;
    let _first = TcpStream::connect(address).await;
    others().await;
    let _second = TcpStream::connect(address).await;
    program.end().await.1.is_ok()
}

/// Lets other tasks run many times, by when the program does what the test wants to observe.
async fn others() {
    for _ in 0..100 {
        let other = tokio::spawn(tokio::task::yield_now());
        other.await.expect("no panic");
    }
}

/// Runs on a runtime with one thread, where a task that does not yield blocks all others. No task on it
/// could notice that, so this thread does.
async fn starves_nobody<F: Future<Output = bool> + 'static>(case: Case, body: fn(Case) -> F) {
    let implementation = case.implementation;
    let (case, compiled) = case.interruptible();
    let (sender, ended) = mpsc::channel();
    let inner = case.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let well = runtime.expect("a runtime").block_on(body(inner));
        sender.send(()).expect("the test waits for it");
        well
    });
    if ended.recv_timeout(implementation.patience()).is_err() {
        compiled.interrupt();
    }
    let ended_well = thread.join().expect("no panic");
    let others = if ended_well { "go on" } else { "wait" };
    case.sees("the others", others, "go on");
}

pub async fn many_quiet_ones(case: Case) {
    case.says(&["found: yes"]).await;
}

pub async fn many_ready_ones(case: Case) {
    case.says(&["one poll tells of all: yes", "ten polls tell of all: yes"])
        .await;
}

pub async fn woken_by_a_shutdown(case: Case) {
    case.says(&["before: no", "after: yes"]).await;
}
