//! A service that sends every byte back, like `echo`; but here each byte passes through the service's
//! memory, as it does in all that look at what they are sent.

use evconn_guest::Connection;
use std::io::{self, Write};

/// How much is read at once, at most.
const CHUNK: usize = 512 << 10;

fn echo(mut connection: Connection) -> io::Result<()> {
    loop {
        let chunk = connection.read_chunk(CHUNK)?;
        if chunk.is_empty() {
            return Ok(());
        }
        connection.write_all(&chunk)?;
    }
}

evconn_guest::service!(echo);
