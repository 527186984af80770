//! A component that comes from standard input.

use super::{ECHO_COMMAND, bad_input, command, read, run_component, with_components};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{connect, exchange};
use evconn::guests;
use rustix::process::Signal;
use std::io::Write;

/// The command with these bytes as its input.
fn with_input(scratch: &Scratch, arguments: &[&str], input: impl AsRef<[u8]>) -> Evconn {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let evconn = Evconn::start_by(command(scratch, arguments).stdin(reader));
    // The command may not read all of it.
    let _ = writer.write_all(input.as_ref());
    evconn
}

#[test]
fn a_program_may_come_from_standard_input() {
    let _open = unchanged();
    let scratch = Scratch::new();
    for (body, status) in [("i32.const 0", 0), ("i32.const 1", 1)] {
        let ended = with_input(&scratch, &["run", "-"], run_component(body)).wait();
        assert_eq!(ended.status.code(), Some(status), "{}", ended.stderr);
    }
    let ended = with_input(&scratch, &["run", "-"], run_component("unreachable")).wait();
    let named = "evconn: standard input: the program failed: ";
    assert!(ended.stderr.starts_with(named), "{}", ended.stderr);
}

#[tokio::test]
async fn a_service_may_come_from_standard_input_once() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let serve = ["serve", "-", "--listen", "127.0.0.1:0"];
    let evconn = with_input(&scratch, &serve, guests::ECHO);
    let address = evconn.address();
    assert_eq!(exchange(connect(address).await, b"hello").await, b"hello");
    evconn.signal(Signal::HUP);
    assert_eq!(exchange(connect(address).await, b"hello").await, b"hello");
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let said = "standard input can be read only once: serve a file to reload it";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn what_is_made_of_standard_input_goes_where_it_is_told() {
    let _open = unchanged();
    let scratch = with_components();
    for (what, input) in [("compile", guests::ECHO), ("compose", ECHO_COMMAND)] {
        let said = bad_input(with_input(&scratch, &[what, "-"], input));
        assert!(said.contains("-o FILE"), "{said}");
        let made = with_input(&scratch, &[what, "-", "-o", "made"], input).wait();
        assert_eq!(made.status.code(), Some(0), "{}", made.stderr);
        assert!(!read(&scratch, "made").is_empty());
        std::fs::remove_file(scratch.join("made")).expect("removed");
    }
}

#[test]
fn what_is_no_component_is_said_to_come_from_there() {
    let _open = unchanged();
    let scratch = Scratch::new();
    for command in [
        &["run", "-"][..],
        &["serve", "-", "--listen", "127.0.0.1:0"],
        &["compile", "-", "-o", "made"],
        &["compose", "-", "-o", "made"],
    ] {
        let said = bad_input(with_input(&scratch, command, b""));
        assert_eq!(said, "standard input: it is empty", "{command:?}");
    }
}
