//! From ready to drained, and what the exit status says of it.

use super::{TEST_GUEST, ask, connect, echoing, rest, start};
use crate::support::descriptors::unchanged;
use crate::support::process::{EVCONN, Evconn};
use rustix::process::Signal;
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::net::Shutdown;
use std::net::TcpStream;
use std::process::Command;

#[test]
fn a_signal_lets_open_connections_finish() {
    let _open = unchanged();
    for signal in [Signal::TERM, Signal::INT] {
        let evconn = start(&[]);
        let address = evconn.address();
        let mut peer = echoing(address);
        evconn.signal(signal);
        refuses(address);
        ask(&mut peer, "still here\n", "still here\n");
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("a regular end"), "");
        let ended = evconn.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        for said in [
            "ending: open connections (",
            ") have 10s to finish",
            "0 were ended by the shutdown",
        ] {
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        }
    }
}

/// Waits until nobody can connect.
fn refuses(address: std::net::SocketAddr) {
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "it still accepts");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn what_does_not_finish_in_time_is_reset_and_the_exit_status_says_so() {
    let _open = unchanged();
    let evconn = start(&["--grace", "0.1"]);
    let mut peer = echoing(evconn.address());
    evconn.signal(Signal::TERM);
    let error = rest(&mut peer).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("ended by the shutdown"),
        "{}",
        ended.stderr
    );
}

/// Failures are logged, and the pipe that the log is written to is soon full.
#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let _open = unchanged();
    let (evconn, unread) = unread(&["--log-budget", "none"]);
    let address = evconn.address();
    for _ in 0..1000 {
        let mut peer = connect(address);
        peer.write_all(b"trap\n").expect("sent");
        rest(&mut peer).expect_err("a reset");
    }
    let mut peer = echoing(address);
    ask(&mut peer, "still here\n", "still here\n");
    drop(peer);
    evconn.signal(Signal::TERM);
    assert_eq!(evconn.wait().status.code(), Some(0));
    drop(unread);
}

/// More is logged than is queued for whoever reads it: what is missing is counted.
#[test]
fn lines_of_the_log_that_were_dropped_are_counted() {
    let _open = unchanged();
    const CONNECTIONS: usize = 60;
    const LINES: usize = 100;
    let (evconn, mut unread) = unread(&["--log-budget", "none"]);
    let address = evconn.address();
    let line = "x".repeat(1000) + r"\n";
    let command = format!("print {}\n", line.repeat(LINES));
    for _ in 0..CONNECTIONS {
        let mut peer = connect(address);
        peer.write_all(command.as_bytes()).expect("sent");
        assert_eq!(rest(&mut peer).expect("a regular end"), "printed\n");
    }
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        unread.read_to_string(&mut text).map(|_| text)
    });
    evconn.signal(Signal::TERM);
    assert_eq!(evconn.wait().status.code(), Some(0));
    let log = reader.join().expect("read").expect("text");
    let logged = log.lines().filter(|line| line.contains("xxx")).count();
    let dropped = log
        .lines()
        .filter_map(|line| line.strip_suffix(" lines were dropped"))
        .map(|line| line.rsplit(' ').next().expect("a count"))
        .map(|count| count.parse::<usize>().expect("a number"))
        .sum::<usize>();
    assert!(dropped > 0, "{logged} lines");
    assert_eq!(logged + dropped, CONNECTIONS * LINES);
}

#[test]
fn what_services_print_and_nobody_reads_holds_up_who_prints_alone() {
    let _open = unchanged();
    let (evconn, mut unread) = unread(&["--inherit-stderr", "--workers", "1"]);
    let address = evconn.address();
    let mut printing = connect(address);
    // Far more than a pipe has room for.
    printing.write_all(b"flood 100000\n").expect("sent");
    let mut peer = echoing(address);
    ask(&mut peer, "not held up\n", "not held up\n");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        unread.read_to_string(&mut text).map(|_| text)
    });
    let answer = rest(&mut printing).expect("a regular end");
    assert_eq!(answer, "printed\n");
    drop(peer);
    evconn.signal(Signal::TERM);
    assert_eq!(evconn.wait().status.code(), Some(0));
    let text = reader.join().expect("read").expect("text");
    let printed = text
        .lines()
        .filter_map(|line| line.strip_prefix("[1] line "));
    assert!(printed.eq((1..=100_000).map(|number| number.to_string())));
}

/// A server whose standard error is a pipe that nobody reads.
fn unread(flags: &[&str]) -> (Evconn, PipeReader) {
    let (unread, stderr) = std::io::pipe().expect("a pipe");
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$@" 2>&0 </dev/null"#, "sh", EVCONN])
        .args(["serve", TEST_GUEST, "--listen", "127.0.0.1:0"])
        .args(flags)
        .stdin(stderr);
    (Evconn::start_by(&mut command), unread)
}

#[test]
fn a_second_signal_ends_it_now() {
    let _open = unchanged();
    let evconn = start(&["--grace", "600"]);
    let address = evconn.address();
    let mut peer = echoing(address);
    evconn.signal(Signal::TERM);
    refuses(address);
    evconn.signal(Signal::TERM);
    rest(&mut peer).expect_err("a reset");
    assert_eq!(evconn.wait().status.code(), Some(1));
}

#[test]
fn it_ends_when_nobody_is_connected_for_long_enough() {
    let _open = unchanged();
    let evconn = start(&["--shutdown-after-idle", "0.2"]);
    drop(echoing(evconn.address()));
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// A failed connection does not make the shutdown unclean.
#[test]
fn failed_connections_do_not_count() {
    let _open = unchanged();
    let evconn = start(&[]);
    let mut peer = connect(evconn.address());
    peer.write_all(b"trap\n").expect("sent");
    rest(&mut peer).expect_err("a reset");
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 failed"), "{}", ended.stderr);
}
