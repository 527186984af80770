//! `evconn serve` and `evconn echo` as a supervisor with worker processes.

mod bad_input;
mod confined;
mod crowd;
mod deaths;
#[cfg(feature = "tls")]
mod handshakes;
mod hoarder;
mod instances;
mod limits;
mod log;
mod log_budget;
mod missing;
mod reload;
mod shape;
mod signals;
mod sources;
mod stopped;
mod supervisor;
#[cfg(feature = "tls")]
mod tickets;
mod upgrade;

use crate::support::peer::{ask, rest};
use crate::support::process::{EVCONN, Evconn};
use crate::support::workers::{children, wait_for_workers};
use crate::support::{DEADLINE, is_reset};
use rustix::process::Signal;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// The service that executes the command in its peer's first line.
const TEST_GUEST: &str = evconn_artifacts::HANDLER_PATH;

/// Serves the test guest on a free port with this many workers.
fn start(processes: usize, flags: &[&str]) -> Evconn {
    let evconn = Evconn::start_by(&mut command(processes, flags));
    wait_for_workers(&evconn, processes);
    evconn
}

/// A command that does that.
fn command(processes: usize, flags: &[&str]) -> Command {
    let mut command = Command::new(EVCONN);
    command
        .args(["serve", TEST_GUEST, "--listen", "127.0.0.1:0"])
        .args(["--processes", &processes.to_string()])
        .args(flags)
        .stdin(Stdio::null());
    command
}

/// Ends a server that has no connections, and returns its log. No process is left of it.
fn end(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    ends_well(evconn)
}

/// Waits until a server ends that has not had to reset a connection, and returns its log.
fn ends_well(evconn: Evconn) -> String {
    ends_with(evconn, 0)
}

fn ends_with(evconn: Evconn, status: i32) -> String {
    let family = children(&evconn);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(status), "{}", ended.stderr);
    for process in family {
        assert!(!process.exists(), "{} is left", process.command());
    }
    ended.stderr
}

/// A new connection ends in a reset, which may be there at once.
fn is_refused(connect: impl FnOnce() -> io::Result<TcpStream>) {
    let ended = connect().and_then(|mut peer| {
        peer.set_read_timeout(Some(DEADLINE))?;
        rest(&mut peer)
    });
    let error = ended.expect_err("a reset");
    assert!(is_reset(&error), "{error}");
}

/// It is being served still.
fn goes_on(peer: &mut TcpStream) {
    ask(peer, "still here\n", "still here\n");
}

/// It ends, in whatever way, before the deadline.
fn is_lost(peer: &mut TcpStream) {
    match rest(peer) {
        Ok(text) => assert_eq!(text, ""),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

/// The text of an echo service with this many more functions, which nobody calls.
fn large_component(functions: usize) -> String {
    let add = "(i32.add (local.get 0) ".repeat(100) + "(i32.const 1)" + &")".repeat(100);
    let function = format!("(func (param i32) (result i32) {add})");
    crate::loading::echo_with(&format!("(core module {})", function.repeat(functions)))
}
