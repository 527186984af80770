//! Compositions of a command and the listener, made by `evconn compose`, on other runtimes and on evconn
//! itself.

mod evconn;
mod jco;
mod program;
mod wasmtime;

use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{ask, connect, exchange};
use program::Program;
use std::path::Path;
use std::process::Output;

/// The manual's echo server.
const ECHO_COMMAND: &str = evconn_artifacts::ECHO_COMMAND_PATH;

/// An echo server of WASI 0.3.
const ASYNC_ECHO_COMMAND: &str = evconn_artifacts::ASYNC_ECHO_COMMAND_PATH;

/// A filter that turns peers away.
const FILTER: &str = evconn_artifacts::FILTER_PATH;

/// The echo server with the listener in it, and with these components between them.
fn compose(scratch: &Scratch, through: &[&str]) -> String {
    compose_with(scratch, ECHO_COMMAND, through)
}

/// A program with the listener in it, and with these components between them.
fn compose_with(scratch: &Scratch, program: &str, through: &[&str]) -> String {
    let composed = scratch.join("composed.wasm");
    let composed = composed.into_os_string().into_string().expect("text");
    let mut arguments = vec!["compose", program, "-o", &composed];
    for middleware in through {
        arguments.extend(["--through", *middleware]);
    }
    let ended = Evconn::run(&arguments);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(Path::new(&composed).is_file(), "{}", ended.stdout);
    composed
}

/// Every byte comes back, also to several peers that are connected at a time.
async fn echoes(mut program: Program) {
    let mut idle = program.connect_to_echo().await;
    let address = program.address();
    let bulk: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_be_bytes).collect();
    let answers = std::array::from_fn::<_, 4, _>(|_| {
        let bulk = bulk.clone();
        tokio::spawn(async move { exchange(connect(address).await, &bulk).await == bulk })
    });
    for answer in answers {
        assert!(answer.await.expect("no panic"), "all of it");
    }
    for number in 0..100_u8 {
        assert_eq!(exchange(connect(address).await, &[number]).await, [number]);
    }
    assert_eq!(ask(&mut idle, "still there?\n").await, "still there?\n");
}

/// It was run with a port that is none.
fn wants_a_port(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Invalid port\n");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
