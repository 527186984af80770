//! A handler and a program that import an interface of their host's own, and do what their peer's first line says.

wit_bindgen::generate!({
    path: "wit",
    world: "test:host/imports",
});

use evconn_guest::{Connection, EventBase, Listener};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use test::host::visits::{self, Till};

/// What the host answers to a command.
fn answer(command: &str) -> String {
    let number = match command.trim_end() {
        "count" => visits::count(),
        "wait" => visits::wait(),
        "till" => {
            let till = Till::new();
            till.add(30) + till.add(3)
        }
        "panic" => {
            visits::panic();
            0
        }
        "fail" => {
            visits::fail();
            0
        }
        other => return format!("{other}?\n"),
    };
    format!("{number}\n")
}

fn serve(connection: Connection) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    connection.read_line(&mut line)?;
    connection.get_mut().write_all(answer(&line).as_bytes())
}

fn main(_arguments: Vec<String>) -> Result<(), String> {
    let base = EventBase::new();
    let _listener = Listener::builder()
        .blocking()
        .on_connection(|_listener, connection| {
            // If the peer is gone, there is nothing to be said.
            let _ = serve(connection);
        })
        .bind(&base, (Ipv4Addr::UNSPECIFIED, 7000))
        .map_err(|error| error.to_string())?;
    base.dispatch();
    Ok(())
}

evconn_guest::service!(serve);
evconn_guest::command!(main);
