//! A service that sends every byte back, like `echo`; but here each byte passes through the service's
//! memory, as it does in all that look at what they are sent.

use evconn_guest::Connection;
use std::io::{self, Read, Write};

/// How much is read at once, at most.
const BUFFER: usize = 64 << 10;

fn echo(mut connection: Connection) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            count => connection.write_all(&buffer[..count])?,
        }
    }
}

evconn_guest::service!(echo);
