//! `evconn compile`, and what `evconn serve` says of what it cannot serve.

use super::echo_text;
use crate::support::DEADLINE;
use crate::support::descriptors::unchanged;
use crate::support::process::{EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use evconn::guests;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// A scratch directory with the echo service in it, as `app.wasm`.
fn with_app() -> Scratch {
    let scratch = Scratch::new();
    std::fs::write(scratch.join("app.wasm"), guests::ECHO).expect("written");
    scratch
}

/// `evconn` in a directory.
fn evconn(directory: &Scratch, arguments: &[&str]) -> Evconn {
    let mut command = Command::new(EVCONN);
    command.args(arguments).current_dir(directory.join("."));
    Evconn::start_by(&mut command)
}

fn serve(directory: &Scratch, arguments: &[&str]) -> Evconn {
    evconn(directory, &[&["serve"], arguments, &LISTEN].concat())
}

pub(super) fn echoes(evconn: &Evconn) {
    echoes_at(evconn.address());
}

pub(super) fn echoes_at(address: SocketAddr) {
    let mut peer = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    peer.write_all(b"hello").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "hello");
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

fn compile(directory: &Scratch, arguments: &[&str]) {
    let ended = evconn(directory, &[&["compile"], arguments].concat()).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr + &ended.stdout, "");
}

#[test]
fn what_cannot_be_served_ends_the_start() {
    let _open = unchanged();
    let scratch = with_app();
    std::fs::write(scratch.join("text"), "hello\n").expect("written");
    std::fs::write(scratch.join("listener.wasm"), guests::LISTENER).expect("written");
    for (app, problem) in [
        ("none.wasm", "none.wasm: there is no such file"),
        (".", ".: it is a directory, and no file"),
        (
            "text",
            "text: it is neither a component, nor the text of one",
        ),
        (
            "listener.wasm",
            "listener.wasm: it exports neither evconn:tcp/handler@0.1.0",
        ),
    ] {
        for command in ["serve", "compile"] {
            let listen = if command == "serve" {
                &LISTEN[..]
            } else {
                &["--output", "out"]
            };
            let said = bad_input(evconn(&scratch, &[&[command, app], listen].concat()));
            assert!(said.starts_with(problem), "{said}");
        }
    }
    assert_eq!(
        bad_input(serve(&scratch, &["app.wasm/x"])),
        "app.wasm/x: it cannot be read: Not a directory (os error 20)"
    );
    assert_eq!(scratch.contents(), ["app.wasm", "listener.wasm", "text"]);
}

#[test]
fn text_is_served() {
    let _open = unchanged();
    let scratch = Scratch::new();
    std::fs::write(scratch.join("app.wat"), echo_text()).expect("written");
    echoes(&serve(&scratch, &["app.wat"]));
}

#[test]
fn what_was_compiled_is_served_where_that_is_allowed() {
    let _open = unchanged();
    let scratch = with_app();
    compile(&scratch, &["app.wasm"]);
    compile(&scratch, &["./app.wasm", "-o", "other.bin"]);
    assert_eq!(scratch.contents(), ["app.cwasm", "app.wasm", "other.bin"]);
    for app in ["app.cwasm", "other.bin"] {
        echoes(&serve(&scratch, &[app, "--allow-precompiled"]));
        let said = bad_input(serve(&scratch, &[app]));
        assert!(
            said.starts_with(&format!("{app}: it is compiled already")),
            "{said}"
        );
        assert!(said.contains("--allow-precompiled"), "{said}");
    }
    echoes(&serve(&scratch, &["app.wasm", "--allow-precompiled"]));
}

/// Its limits are those of the service that it is compiled for, which are not known yet.
#[test]
fn what_takes_more_than_the_default_limits_is_compiled() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let large =
        super::echo_with("(core module $large (memory 2000)) (core instance (instantiate $large))");
    std::fs::write(scratch.join("app.wat"), large).expect("written");
    compile(&scratch, &["app.wat"]);
    let said = bad_input(serve(&scratch, &["app.cwasm", "--allow-precompiled"]));
    assert!(
        said.ends_with("67108864 are allowed (--max-memory)"),
        "{said}"
    );
    let enough = ["app.cwasm", "--allow-precompiled", "--max-memory", "256M"];
    echoes(&serve(&scratch, &enough));
}

#[test]
fn compiling_never_replaces_the_component() {
    let _open = unchanged();
    let scratch = with_app();
    std::os::unix::fs::symlink("app.wasm", scratch.join("link")).expect("a link");
    for output in ["app.wasm", "./app.wasm", "link"] {
        let said = bad_input(evconn(&scratch, &["compile", "app.wasm", "-o", output]));
        assert!(said.contains("the output would replace an input"), "{said}");
    }
    let app = std::fs::read(scratch.join("app.wasm")).expect("it is there");
    assert!(app == guests::ECHO, "it was changed");
}

#[test]
fn an_output_that_cannot_be_written_is_named_and_nothing_is_left() {
    let _open = unchanged();
    let scratch = with_app();
    for (output, problem) in [
        (".", ".: a directory: name a file"),
        (
            "none/out",
            "cannot write none/out: No such file or directory",
        ),
    ] {
        let said = bad_input(evconn(&scratch, &["compile", "app.wasm", "-o", output]));
        assert!(said.contains(problem), "{said}");
    }
    assert_eq!(scratch.contents(), ["app.wasm"]);
}

#[test]
fn a_component_that_cannot_be_compiled_leaves_the_old_code() {
    let _open = unchanged();
    let scratch = with_app();
    compile(&scratch, &["app.wasm"]);
    let code = |scratch: &Scratch| std::fs::read(scratch.join("app.cwasm")).expect("it is there");
    let old = code(&scratch);
    let half = &guests::ECHO[..guests::ECHO.len() / 2];
    std::fs::write(scratch.join("app.wasm"), half).expect("written");
    bad_input(evconn(&scratch, &["compile", "app.wasm"]));
    assert!(code(&scratch) == old, "it was changed");
    assert_eq!(scratch.contents(), ["app.cwasm", "app.wasm"]);
}

/// `evconn serve` of the echo service under limits that a shell sets.
pub(super) fn serve_limited(app: &Path, limits: &str, arguments: &[&str]) -> Evconn {
    let script = format!(r#"{limits} && exec "$0" serve "$@""#);
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, EVCONN])
        .arg(app)
        .args(LISTEN)
        .args(arguments);
    Evconn::start_by(&mut command)
}
