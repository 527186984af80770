//! A handler and a program in one component. Each says which of them it is.

use evconn_guest::{Connection, EventBase, Listener};
use std::io::{self, Write};
use std::net::Ipv4Addr;

fn serve(mut connection: Connection) -> io::Result<()> {
    connection.write_all(b"handler\n")
}

fn main(_arguments: Vec<String>) -> Result<(), String> {
    let base = EventBase::new();
    let _listener = Listener::builder()
        .on_connection(|_listener, mut connection| {
            // If the peer is gone, there is nothing to be said.
            let _ = connection.write_all(b"program\n");
        })
        .bind(&base, (Ipv4Addr::UNSPECIFIED, 7000))
        .map_err(|error| error.to_string())?;
    base.dispatch();
    Ok(())
}

evconn_guest::service!(serve);
evconn_guest::command!(main);
