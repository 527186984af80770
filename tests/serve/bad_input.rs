//! Bad input: one clear line before anything is bound, and exit 2.

use super::TEST_GUEST;
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;

/// It says one thing on its standard error, in which `hint` is, and ends.
fn refused(arguments: &[&str], hint: &str) {
    let ended = Evconn::run(&[&["serve"], arguments].concat());
    assert_eq!(
        ended.status.code(),
        Some(2),
        "{arguments:?}: {}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "", "{arguments:?}");
    assert!(
        ended.stderr.contains(hint),
        "{arguments:?}: {}",
        ended.stderr
    );
}

/// As `refused`, in one line.
fn refused_in_a_line(arguments: &[&str], hint: &str) {
    refused(arguments, hint);
    let ended = Evconn::run(&[&["serve"], arguments].concat());
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn arguments_that_are_missing_are_asked_for() {
    let _open = unchanged();
    refused(&["--listen", "127.0.0.1:0"], "<APP.wasm>");
    refused(&[TEST_GUEST], "--listen <SOURCE>");
}

#[test]
fn flags_that_cannot_be_meant_say_what_would_be_right() {
    let _open = unchanged();
    for (flag, value, hint) in [
        ("--listen", "nowhere", "nowhere:9876"),
        ("--max-connections", "0", "1.."),
        ("--max-connections-per-peer", "0", "from 1 to"),
        ("--max-memory", "64MB", "64M"),
        ("--max-memory", "-1", "64M"),
        ("--max-handles", "2", "3.."),
        ("--timeout", "soon", "a number of seconds"),
        ("--timeout", "0", "more than 0"),
        ("--idle-timeout", "-1", "or none"),
        ("--idle-timeout", "0", "more than 0 seconds, or none"),
        ("--cpu-timeout", "0", "more than 0"),
        ("--cpu-timeout", "1s", "a number of seconds"),
        ("--reuse", "0", "a number from 1"),
        ("--allow-peer", "localhost", "10.0.0.0/8"),
        ("--deny-peer", "10.0.0.0/33", "10.0.0.0/8"),
        ("--grace", "NaN", "a number of seconds"),
        ("--shutdown-after-idle", "0", "more than 0"),
        ("--log-format", "xml", "json"),
        ("--backlog", "0", "a number from 1"),
        ("--backlog", "-1", "a number from 1"),
        ("--accept-rate", "0", "a number from 1"),
        ("--max-accepts-per-turn", "0", "a number from 1"),
        ("--accept-rate-per-peer", "0", "a number from 1"),
        ("--accept-rate-per-peer", "-1", "a number from 1"),
        ("--accept-rate-per-peer", "4294967296", "to 4294967295"),
        ("--limit-rate", "0", "from 1 on, such as"),
        ("--limit-rate", "-1", "from 1 on, such as"),
        ("--limit-rate", "1.5M", "512K"),
        ("--limit-rate", "17179869184G", "512K"),
        ("--limit-rate-per-peer", "K", "512K"),
        ("--env", "=x", "--env"),
        ("--dir", "/nonexistent::/data", "/nonexistent"),
        ("--allow-connect", "example.com", "HOST:PORT"),
    ] {
        let arguments = [TEST_GUEST, "--listen", "127.0.0.1:0", flag, value];
        refused(&arguments, hint);
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let _open = unchanged();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    refused_in_a_line(
        &[TEST_GUEST, "--listen", "127.0.0.1:0", "--listen", &address],
        &format!("cannot listen on {address}: Address already in use"),
    );
}

#[test]
fn an_address_of_a_kind_that_nobody_listens_on_is_named() {
    let _open = unchanged();
    for (address, hint) in [
        ("[::ffff:127.0.0.1]:0", "write 127.0.0.1:0"),
        ("224.0.0.1:0", "multicast"),
        ("[fe80::1]:0", "[fe80::1%eth0]:0"),
    ] {
        refused_in_a_line(&[TEST_GUEST, "--listen", address], hint);
    }
}

/// A component that cannot be loaded is found before a socket is created.
#[test]
fn a_component_that_cannot_be_had_leaves_no_socket_behind() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let text = scratch.join("app.wasm");
    std::fs::write(&text, "hello").expect("written");
    let socket = scratch.join("app.sock");
    let listen = format!("unix:{}", socket.display());
    for app in [text, scratch.join("missing.wasm"), scratch.join(".")] {
        let app = app.to_str().expect("text");
        refused_in_a_line(&[app, "--listen", &listen], app);
        assert_eq!(scratch.contents(), ["app.wasm"]);
    }
}
