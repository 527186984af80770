//! What the flags say reaches the library.

use super::{ask, connect, echoing, rest, start};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::{DEADLINE, has_ipv6, is_reset};
use rustix::process::Signal;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

/// A connection that begins with `command` is ended, and the log says `why`.
fn ended_for(flags: &[&str], command: &str, why: &str) {
    let evconn = start(flags);
    ends_in_reset(evconn.address(), command);
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert!(ended.stderr.contains(why), "{flags:?}: {}", ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{flags:?}: {}", ended.stderr);
}

/// A connection that begins with `command` ends in a reset, which may be there at once.
pub fn ends_in_reset(address: SocketAddr, command: &str) {
    let ended = TcpStream::connect_timeout(&address, DEADLINE).and_then(|mut peer| {
        peer.set_read_timeout(Some(DEADLINE))?;
        peer.write_all(command.as_bytes())?;
        rest(&mut peer)
    });
    let error = ended.expect_err("a reset");
    assert!(is_reset(&error), "{error}");
}

#[test]
fn limits_end_a_connection() {
    let _open = unchanged();
    ended_for(
        &["--max-memory", "4M"],
        "grow 8000000\n",
        "refused more memory than its limit of 4 MiB",
    );
    ended_for(
        &["--max-handles", "16"],
        "hold 100\n",
        "more than 16 handles",
    );
    ended_for(&["--timeout", "0.2"], "echo\n", "it has lasted for 200ms");
    ended_for(
        &["--idle-timeout", "0.2"],
        "",
        "no byte either way for 200ms",
    );
    ended_for(&["--cpu-timeout", "0.1"], "spin\n", "more than 100ms");
    ended_for(&[], "recurse\n", "connection failed");
    ended_for(&[], "trap\n", "unreachable");
}

/// What a component begins with is known when it is loaded.
#[test]
fn limits_refuse_a_component_that_begins_with_more() {
    let _open = unchanged();
    for flag in [
        "--max-table-elements",
        "--max-tables",
        "--max-core-instances",
        "--max-memory",
    ] {
        let arguments = [
            "serve",
            super::TEST_GUEST,
            "--listen",
            "127.0.0.1:0",
            flag,
            "1",
        ];
        let ended = Evconn::run(&arguments);
        assert_eq!(ended.status.code(), Some(2), "{flag}: {}", ended.stderr);
        assert!(ended.stderr.contains(flag), "{flag}: {}", ended.stderr);
    }
}

#[test]
fn peers_are_allowed_and_denied() {
    let _open = unchanged();
    ended_for(&["--deny-peer", "127.0.0.0/8"], "", "may not connect");
    ended_for(&["--allow-peer", "10.0.0.0/8"], "", "may not connect");
    let evconn = start(&["--allow-peer", "127.0.0.1", "--allow-peer", "::1"]);
    drop(echoing(evconn.address()));
}

#[test]
fn a_peer_has_as_many_connections_as_it_may() {
    let _open = unchanged();
    let evconn = start(&["--max-connections-per-peer", "1"]);
    let address = evconn.address();
    let first = echoing(address);
    ends_in_reset(address, "");
    drop(first);
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    assert!(log.contains("has 1 connections already"), "{log}");
}

#[test]
fn instances_are_used_again() {
    let _open = unchanged();
    for (flags, most) in [(&["--reuse", "2"][..], "2\n"), (&[], "1\n")] {
        let evconn = start(flags);
        let address = evconn.address();
        let mut counts = Vec::new();
        // The instance may not be back when the next connection comes.
        for _ in 0..50 {
            let mut peer = connect(address);
            peer.write_all(b"count\n").expect("sent");
            counts.push(rest(&mut peer).expect("a regular end"));
        }
        counts.sort();
        assert_eq!(counts.last().map(String::as_str), Some(most), "{flags:?}");
    }
}

#[test]
fn the_flags_of_a_listener_are_taken() {
    let _open = unchanged();
    let flags = [
        "--backlog",
        "7",
        "--accept-rate",
        "1000",
        "--max-accepts-per-turn",
        "3",
    ];
    let evconn = start(&flags);
    drop(echoing(evconn.address()));
}

/// However it is written.
#[test]
fn the_forms_of_an_address_are_taken() {
    let _open = unchanged();
    let of_ipv6 = match has_ipv6() && cfg!(target_os = "linux") {
        true => &["--listen", "*:0", "--listen", "[::1%lo]:0"][..],
        false => &[],
    };
    let flags = [&["--listen", "tcp://127.0.0.1:0"], of_ipv6].concat();
    let evconn = start(&flags);
    // One that it has anyway.
    for _ in 0..1 + flags.len() / 2 {
        let listening = evconn.listening_on().parse::<SocketAddr>();
        let mut address = listening.expect("an address");
        if address.ip().is_unspecified() {
            let is_ipv4 = address.is_ipv4();
            address.set_ip(match is_ipv4 {
                true => std::net::Ipv4Addr::LOCALHOST.into(),
                false => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        drop(echoing(address));
    }
}

/// A misspelt level does not turn the log off.
#[test]
fn a_level_that_is_none_is_said_and_not_used() {
    let _open = unchanged();
    let arguments = ["serve", super::TEST_GUEST, "--listen", "127.0.0.1:0"];
    let mut command = std::process::Command::new(crate::support::process::EVCONN);
    let evconn = Evconn::start_by(command.args(arguments).env("RUST_LOG", "inof"));
    drop(echoing(evconn.address()));
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    let (said, rest) = log.split_once('\n').expect("a line");
    assert!(
        said.contains("RUST_LOG") && said.contains("\"inof\" is not a level"),
        "{log}"
    );
    assert!(rest.contains("served 1 connection,"), "{log}");
}

#[test]
fn the_log_may_be_json() {
    let _open = unchanged();
    let evconn = start(&["--log-format", "json"]);
    ends_in_reset(evconn.address(), "error \x1b[31m\"it\"\n");
    evconn.signal(Signal::TERM);
    let log = evconn.wait().stderr;
    let line = log.lines().find(|line| line.contains("connection failed"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    assert!(line.contains("\"number\":1"), "{line}");
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn a_service_listens_in_several_places() {
    let _open = unchanged();
    let evconn = start(&["--listen", "127.0.0.1:0"]);
    for _ in 0..2 {
        let mut peer = echoing(evconn.address());
        ask(&mut peer, "again\n", "again\n");
    }
}

/// In the log as text, where it was is in lines of their own below the one that says what; as JSON, it is a
/// field.
#[test]
fn a_trap_is_logged_with_where_it_was() {
    let _open = unchanged();
    let log = log_of_a_trap(&[]);
    let mut lines = log
        .lines()
        .skip_while(|line| !line.contains("connection failed"));
    let line = lines.next().unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("WARN") && line.contains("number=1 peer="),
        "{log}"
    );
    let frame = lines.next().unwrap_or_else(|| panic!("{log}"));
    assert!(frame.starts_with("    0: function "), "{log}");
    assert!(frame.contains(" at 0x"), "{log}");

    let log = log_of_a_trap(&["--log-format", "json"]);
    let line = log.lines().find(|line| line.contains("connection failed"));
    let record: serde_json::Value =
        serde_json::from_str(line.unwrap_or_else(|| panic!("{log}"))).expect("JSON");
    let backtrace = record["fields"]["backtrace"].as_str().expect("a field");
    assert!(backtrace.starts_with("0: function "), "{log}");
    assert!(backtrace.contains("\n1: function "), "{log}");
}

fn log_of_a_trap(flags: &[&str]) -> String {
    let evconn = start(flags);
    ends_in_reset(evconn.address(), "recurse\n");
    evconn.signal(Signal::TERM);
    evconn.wait().stderr
}
