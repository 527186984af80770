//! An echo server that serves all of its clients at a time, and never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

/// How long to sleep when there is nothing to do.
const PAUSE: Duration = Duration::from_millis(1);

struct Client {
    stream: TcpStream,
    /// What is to be sent.
    unsent: Vec<u8>,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("[::]:7000")?;
    listener.set_nonblocking(true)?;
    let mut clients = Vec::new();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                let unsent = Vec::new();
                clients.push(Client { stream, unsent });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(PAUSE),
            Err(error) => return Err(error),
        }
        clients.retain_mut(|client| client.serve().unwrap_or(false));
    }
}

impl Client {
    /// Returns whether there will be more to do.
    fn serve(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let received = unless_it_blocks(self.stream.read(&mut buffer))?;
        self.unsent.extend(&buffer[..received.unwrap_or(0)]);
        let sent = unless_it_blocks(self.stream.write(&self.unsent))?;
        self.unsent.drain(..sent.unwrap_or(0));
        Ok(received != Some(0) || !self.unsent.is_empty())
    }
}

fn unless_it_blocks(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
