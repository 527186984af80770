//! Peers of a server that runs the test guest.

use super::DEADLINE;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Sends this, and reads as many bytes back.
pub fn ask(stream: &mut TcpStream, text: &str, answer: &str) {
    stream.write_all(text.as_bytes()).expect("sent");
    let mut bytes = vec![0; answer.len()];
    stream.read_exact(&mut bytes).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&bytes), answer);
}

/// Returns a connection that is being served, and echoes.
pub fn echoing(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    ask(&mut stream, "echo\nhello\n", "hello\n");
    stream
}

/// All that comes until the end, or the error that it ends in.
pub fn rest(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Closes a connection with a reset.
pub fn reset(peer: TcpStream) {
    let linger = SockRef::from(&peer).set_linger(Some(Duration::ZERO));
    linger.expect("linger set");
}
