//! From ready to drained, and what the exit status says of it.

use super::{TEST_GUEST, ask, connect, echoing, rest, start};
use crate::support::descriptors::unchanged;
use crate::support::process::{EVCONN, Evconn};
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
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

/// Wait until nobody can connect.
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

/// What fails is logged, and the pipe that the log goes to is soon full.
#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let _open = unchanged();
    let (unread, stderr) = std::io::pipe().expect("a pipe");
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$@" 2>&0 </dev/null"#, "sh", EVCONN])
        .args(["serve", TEST_GUEST, "--listen", "127.0.0.1:0"])
        .stdin(stderr);
    let evconn = Evconn::start_by(&mut command);
    drop(command);
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

/// A connection that failed is no unclean end.
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
