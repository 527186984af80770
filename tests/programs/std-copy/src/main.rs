//! An echo server that prints nothing, for the benchmark. It serves one client after the other.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// As much as native servers usually read at a time.
const BUFFER: usize = 64 << 10;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7000")?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let (stream, _) = listener.accept()?;
        // A client that is gone is not the end of the server.
        let _ = echo(stream, &mut buffer);
    }
}

fn echo(mut stream: TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match stream.read(buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}
