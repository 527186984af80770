//! Rates: how fast peers may open connections, and how fast the bytes of connections go.
//!
//! A test knows how long a transfer takes at least, and never how long at most.

mod bytes;
mod connections;
mod peers;

use crate::support::peer::connect;
use crate::support::process::{EVCONN, Evconn};
use crate::support::workers::wait_for_workers;
use crate::support::{DEADLINE, pattern};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The service that executes the command in its peer's first line.
const TEST_GUEST: &str = evconn_artifacts::HANDLER_PATH;

/// What is transferred, and at which rate.
const SIZE: usize = 256 << 10;
const RATE: &str = "512K";

/// How long that takes at least: a tenth of a second's bytes may come at once, and the last piece need not be waited for.
const LEAST: Duration = Duration::from_millis(500 - 100 - 20);

/// Serves on a free port.
fn serve(component: &str, flags: &[&str]) -> Evconn {
    let arguments = ["serve", component, "--listen", "127.0.0.1:0"];
    Evconn::start(&[&arguments, flags].concat())
}

/// Serves the test guest with this many workers.
fn start(processes: usize, flags: &[&str]) -> Evconn {
    let mut command = Command::new(EVCONN);
    command
        .args(["serve", TEST_GUEST, "--listen", "127.0.0.1:0"])
        .args(["--processes", &processes.to_string()])
        .args(flags)
        .stdin(Stdio::null());
    let evconn = Evconn::start_by(&mut command);
    wait_for_workers(&evconn, processes);
    evconn
}

/// Ends a server whose connections end by themselves, and returns its log.
fn end(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stderr
}

/// A connection from another address of this machine.
fn connect_from(ip: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let from = SocketAddr::new(ip.parse().expect("an IP"), 0);
    socket.bind(&from.into())?;
    socket.connect(&to.into())?;
    socket.set_read_timeout(Some(DEADLINE))?;
    Ok(socket.into())
}

/// Sends this many bytes after a first line, and gets all of them back before the end.
fn gets_all_back(mut peer: TcpStream, first_line: &str, count: usize) {
    let sent = pattern(count);
    let mut writer = peer.try_clone().expect("a descriptor");
    let line = first_line.to_owned();
    let writing = std::thread::spawn(move || {
        writer.write_all(line.as_bytes()).expect("sent");
        writer.write_all(&sent).expect("sent");
        writer.shutdown(Shutdown::Write).expect("ended");
        sent
    });
    let mut received = Vec::new();
    peer.read_to_end(&mut received).expect("a regular end");
    assert!(writing.join().expect("sent") == received, "other bytes");
}
