//! An echo server: it serves one client after the other.

use std::io;
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7000")?;
    println!("listening on {}", listener.local_addr()?);
    for (number, stream) in (1..).zip(listener.incoming()) {
        let stream = stream?;
        println!("client {number}: {}", stream.peer_addr()?);
        io::copy(&mut &stream, &mut &stream)?;
    }
    Ok(())
}
