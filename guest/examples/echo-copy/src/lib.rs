//! A service that echoes all bytes, like `echo`, but copies them through its memory, as any service that
//! processes its input does.

use evconn_guest::Connection;
use std::io::{self, Write};

/// The maximum length of a read.
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
