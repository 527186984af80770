//! A service that is one function: it asks for a name, and greets.

use evconn_guest::Connection;
use std::io::{self, BufRead, BufReader, Read, Write};

/// The longest name, with the end of its line.
const MAX_NAME: u64 = 100;

fn serve(connection: Connection) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    writeln!(connection.get_mut(), "What is your name?")?;
    let mut name = String::new();
    connection.by_ref().take(MAX_NAME).read_line(&mut name)?;
    let peer = connection.get_ref().peer_addr();
    writeln!(
        connection.get_mut(),
        "Hello, {}! You are {peer}.",
        name.trim()
    )
}

evconn_guest::service!(serve);
