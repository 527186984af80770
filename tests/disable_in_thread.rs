//! A callback lets another thread use its listener, and waits for that thread: nothing may block for
//! ever.
//!
//! Once is in [`libevent`](crate::libevent), under libevent's names. Here it is done over and over.

use crate::support::c::Program;
use crate::support::child::Child;
use crate::support::descriptors::unchanged;
use crate::support::{connect, listen, within};
use evconn::{Connection, Listener, State};
use std::io::Write;
use std::net::Ipv4Addr;
use std::thread;
use tokio::sync::mpsc;

const ROUNDS: usize = 1_000;

type Calls = mpsc::UnboundedSender<usize>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callbacks_wait_for_a_thread() {
    let _open = unchanged();
    play_all_rounds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disable_in_thread_side_by_side_with_libevent() {
    let _open = unchanged();
    let Some(program) = Program::compile("disable_in_thread") else {
        return;
    };
    let mut child = Child::of_program(program.command().arg(ROUNDS.to_string()));
    let version = child.hear("version");
    let theirs = child.hear("ended");
    child.dismiss();
    play_all_rounds().await;

    // `eprintln!` would be captured by the test harness.
    let table = format!(
        "{:<26} {ROUNDS} rounds at most\n{:<26} {ROUNDS} rounds\n{version:<26} {theirs}\n",
        "a callback waits for a thread", "evconn"
    );
    let _ = std::io::stderr().write_all(table.as_bytes());
}

/// Each round has a new connection. One that hangs is a failed test.
async fn play_all_rounds() {
    let (calls, mut called) = mpsc::unbounded_channel();
    let listener = listen(Ipv4Addr::LOCALHOST.into()).await;
    listener.set_callback(callback(1, calls));
    for round in 1..=ROUNDS {
        let _client = connect(listener.local_addr()).await;
        let call = within("the callback", called.recv()).await;
        assert_eq!(call, Some(round));
        if listener.state() == State::Disabled {
            listener.enable().expect("enabled");
        }
    }
    within("the listener closes", listener.closed()).await;
}

/// A callback that counts its calls from `round` on, and says so when the thread is done.
fn callback(mut round: usize, calls: Calls) -> impl FnMut(&Listener, Connection) + Send + 'static {
    move |listener, _connection| {
        let (listener, next) = (listener.clone(), calls.clone());
        let thread = thread::spawn(move || use_listener(&listener, round, next));
        thread.join().expect("no panic in the thread");
        calls.send(round).expect("the test waits for it");
        round += 1;
    }
}

/// What the thread of a round does.
fn use_listener(listener: &Listener, round: usize, calls: Calls) {
    if round == ROUNDS {
        return listener.close();
    }
    match round % 5 {
        0 => listener.disable(),
        1 => {
            listener.disable();
            listener.enable().expect("enabled");
        }
        2 => listener.set_callback(callback(round + 1, calls)),
        3 => {
            listener.set_error_callback(|_, _| {});
            listener.clear_error_callback();
            listener.retry();
        }
        _ => {
            assert_eq!(listener.state(), State::Accepting);
            // As of the poll that has found this connection.
            assert_eq!(listener.stats().accepted, round as u64);
        }
    }
}
