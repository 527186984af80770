//! Programs of WASI 0.3 as services: what holds for those of WASI 0.2, with another guest, and what only they can do.

#[path = "../../served/addresses.rs"]
mod addresses;
#[path = "../../served/early.rs"]
mod early;
mod echo;
#[path = "../../served/ends.rs"]
mod ends;
mod files;
mod listening;
#[path = "../../served/operation.rs"]
mod operation;
mod refused;
mod room;
#[path = "../../served/shared.rs"]
mod shared;

use crate::support::DEADLINE;
use crate::support::process::Evconn;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;

/// The program that does what its arguments say, and what its clients say.
const PROGRAM: &str = evconn_artifacts::ASYNC_SERVER_PATH;

/// How long a connection may be idle where a test waits for the end of that, in seconds.
const IDLE: &str = "0.3";

/// The longest time that an instance may be waited for at the end: no test waits that long.
const LONG: [&str; 2] = ["--grace", "600"];

/// The first argument of a program: its name, by convention.
const NAME: [&str; 2] = ["--arg", "program"];

fn acts() -> Option<PathBuf> {
    Some(PROGRAM.into())
}

fn serve_file(path: &str, flags: &[&str]) -> Evconn {
    let address = ["--listen", "127.0.0.1:0"];
    Evconn::start(&[&["serve", path], &address[..], &NAME, flags].concat())
}

/// Serves one that sends back lines.
fn echoing(flags: &[&str]) -> Option<Evconn> {
    acting(&["serve"], flags)
}

/// Serves the program with these arguments.
fn acting(arguments: &[&str], flags: &[&str]) -> Option<Evconn> {
    let arguments = arguments.iter().flat_map(|argument| ["--arg", argument]);
    let flags = [&arguments.collect::<Vec<_>>(), flags].concat();
    Some(serve_file(PROGRAM, &flags))
}

/// Sends all of it, and returns the lines that come back until the end.
fn lines(address: SocketAddr, request: &str) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    BufReader::new(stream).lines().collect()
}

/// Ends a server, and returns what it has logged. All of its connections are over, or end in time.
fn end(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stderr
}
