//! The command `evconn serve`, as a process.

mod bad_input;
mod flags;
mod life;
mod reload;
mod start;
mod systemd;

use crate::support::DEADLINE;
use crate::support::process::Evconn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The service that executes the command in its peer's first line.
const TEST_GUEST: &str = evconn_artifacts::HANDLER_PATH;

/// Serves the test guest on a free port.
fn start(flags: &[&str]) -> Evconn {
    Evconn::start(&[&["serve", TEST_GUEST, "--listen", "127.0.0.1:0"], flags].concat())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Sends this, and reads as many bytes back.
fn ask(stream: &mut TcpStream, text: &str, answer: &str) {
    stream.write_all(text.as_bytes()).expect("sent");
    let mut bytes = vec![0; answer.len()];
    stream.read_exact(&mut bytes).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&bytes), answer);
}

/// Returns a connection that is being served, and echoes.
fn echoing(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    ask(&mut stream, "echo\nhello\n", "hello\n");
    stream
}

/// All that comes until the end, or the error that it ends in.
fn rest(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
