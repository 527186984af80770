//! The same matrix of states and calls through wasi-libc: what C, Rust's standard library and Python call.
//!
//! wasi-libc keeps a state of its own for each socket, and aborts the program if the host says that a
//! call it makes is `invalid-state` or `not-in-progress`. [tests/programs/libc](../programs/libc) makes one
//! call in one state; it runs on both implementations, and wasmtime-wasi says what is right.

use super::linked::{Compiled, Grant, Implementation, Setup};
use crate::support::{DEADLINE, has_ipv6, wasip2, within};
use std::sync::OnceLock;
use std::time::Instant;
use tokio::io::AsyncReadExt;
use wasmtime_wasi::cli::{AsyncStdinStream, AsyncStdoutStream};

/// What is said for the program if wasi-libc ends it.
const ABORTS: &str = "aborts";

/// What it comes to on the host and on wasmtime-wasi, where that is not the same, or wasi-libc aborts.
fn difference(state: &str, call: &str) -> Option<(&'static str, &'static str)> {
    let asks_for_an_address = call == "getsockname";
    let is_about_an_option = call.starts_with("get ") || call.starts_with("set ");
    match state {
        "connecting" | "bound-connecting" if asks_for_an_address || is_about_an_option => {
            Some(("ok", ABORTS))
        }
        "listen-failed" if asks_for_an_address || is_about_an_option || call == "listen" => {
            Some(("Address in use (os error 3)", "Not supported (os error 58)"))
        }
        // To wasi-libc it is bound still.
        "listen-failed" if call.starts_with("connect") => Some((ABORTS, ABORTS)),
        _ => None,
    }
}

/// Built once; or nothing, if it cannot be here.
fn program() -> Option<&'static Compiled> {
    static PROGRAM: OnceLock<Option<Compiled>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let path = wasip2::program("libc")?;
        Some(Compiled::of(&std::fs::read(path).expect("the program")))
    });
    program.as_ref()
}

/// What it prints with these arguments.
async fn run(program: &Compiled, on: Implementation, arguments: &[&str]) -> String {
    let (stdout, mut printed) = tokio::io::duplex(1 << 16);
    let stdin = AsyncStdinStream::new(tokio::io::empty());
    let stdout = AsyncStdoutStream::new(1 << 16, stdout);
    let mut all = vec!["evconn-test-libc".to_owned()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let run = program.run(on, all, Grant::NotPort1, Setup::default(), (stdin, stdout));
    let mut text = String::new();
    let (ended, read) = within("it ends", async {
        tokio::join!(run, printed.read_to_string(&mut text))
    })
    .await;
    read.expect("text");
    match ended {
        Ok(()) => text.trim_end().to_owned(),
        Err(trap) => {
            let trap = format!("{trap:?}");
            assert!(trap.contains("!abort"), "{arguments:?}: {text}{trap}");
            ABORTS.to_owned()
        }
    }
}

/// A call may say that it would block although it would not, where the event loop has yet to tell.
const WOULD_BLOCK: &str = "Resource temporarily unavailable";

/// What it prints on the host and on wasmtime-wasi. Where only one of them says that it would block, both
/// are asked again.
async fn on_both(program: &Compiled, arguments: &[&str]) -> (String, String) {
    let end = Instant::now() + DEADLINE;
    loop {
        let own = run(program, Implementation::Own, arguments).await;
        let wasmtime = run(program, Implementation::Wasmtime, arguments).await;
        let one_would_block = own.contains(WOULD_BLOCK) != wasmtime.contains(WOULD_BLOCK);
        if !one_would_block || Instant::now() > end {
            return (own, wasmtime);
        }
    }
}

async fn each_call_in_each_state(ip: &str) {
    let Some(program) = program() else { return };
    let names = run(program, Implementation::Own, &[ip]).await;
    let named = |kind: &str| -> Vec<String> {
        let names = names.lines().filter_map(|line| line.strip_prefix(kind));
        names.map(str::to_owned).collect()
    };
    let (states, calls) = (named("state "), named("call "));
    assert!(states.len() > 10 && calls.len() > 20, "{names}");
    for state in &states {
        for call in &calls {
            let (own, wasmtime) = on_both(program, &[ip, state, call]).await;
            let (said_own, said_wasmtime) = match difference(state, call) {
                Some(different) => different,
                None => (wasmtime.as_str(), wasmtime.as_str()),
            };
            assert_eq!(
                (own.as_str(), wasmtime.as_str()),
                (said_own, said_wasmtime),
                "{state}: {call}"
            );
            let is_known = difference(state, call).is_some();
            assert!(own != ABORTS || is_known, "{state}: {call} aborts");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_in_each_state_over_ipv4() {
    each_call_in_each_state("127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_in_each_state_over_ipv6() {
    if has_ipv6() {
        each_call_in_each_state("::1").await;
    }
}
