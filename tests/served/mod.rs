//! Programs as services: they listen and accept by themselves, and each of their connections is served by an instance
//! of its own. None of them was written for that.
//!
//! What is in `addresses`, `early`, `ends`, `operation` and `shared` holds for programs of WASI 0.3, too:
//! `served_async::programs` has it with another guest.

mod addresses;
mod c;
mod early;
pub mod echo;
mod ends;
mod entry_point;
mod operation;
mod python;
mod shared;
mod tokio_based;

use crate::support::DEADLINE;
use crate::support::process::Evconn;
use crate::support::wasip2::program;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;

/// How long a connection may be idle where a test waits for the end of that, in seconds.
const IDLE: &str = "0.3";

/// The longest time that an instance may be waited for at the end: no test waits that long.
const LONG: [&str; 2] = ["--grace", "600"];

/// The first argument of a program: its name, by convention.
const NAME: [&str; 2] = ["--arg", "program"];

/// Serves a program on a free port. Nothing, if it cannot be built here.
fn serve(name: &str, flags: &[&str]) -> Option<Evconn> {
    let path = program(name)?;
    Some(serve_file(path.to_str().expect("text"), flags))
}

fn serve_file(path: &str, flags: &[&str]) -> Evconn {
    let address = ["--listen", "127.0.0.1:0"];
    Evconn::start(&[&["serve", path], &address[..], &NAME, flags].concat())
}

/// The path of the program that does what its arguments say, and what its clients say.
fn acts() -> Option<PathBuf> {
    program("std-acts")
}

/// Serves one that sends back lines.
fn echoing(flags: &[&str]) -> Option<Evconn> {
    serve("std-echo", flags)
}

/// Serves the program that does what its arguments say.
fn acting(arguments: &[&str], flags: &[&str]) -> Option<Evconn> {
    let arguments = arguments.iter().flat_map(|argument| ["--arg", argument]);
    serve(
        "std-acts",
        &[&arguments.collect::<Vec<_>>(), flags].concat(),
    )
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
