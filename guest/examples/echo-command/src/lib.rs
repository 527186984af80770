//! The echo server of libevent's manual, as a command. The argument is the port, 9876 by default.

use evconn_guest::{
    AcceptError, BufferedConnection, Connection, Direction, Event, EventBase, Listener, eprintln,
    println,
};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

fn echo_read(connection: &BufferedConnection) {
    // Move all the data from the input buffer to the output buffer.
    connection.send(connection.take_input());
}

fn echo_event(connection: &BufferedConnection, event: Event) {
    if let Event::Error(error) = &event {
        eprintln!("Error from connection: {error}");
    }
    if let Event::End | Event::Error(_) = event {
        connection.close();
    }
}

fn accept_connection(listener: &Listener, connection: Connection) {
    // We got a new connection! Set up a buffered connection for it.
    let base = listener.base();
    let connection = BufferedConnection::new(base, connection);
    connection.on_read(echo_read);
    connection.on_event(echo_event);
    connection.enable(Direction::Both);
}

fn accept_error(listener: &Listener, error: AcceptError) {
    let base = listener.base();
    eprintln!(
        "Got an error {} ({error}) on the listener. Shutting down.",
        error.code as u8
    );
    base.loop_exit(Duration::ZERO);
}

fn main(arguments: Vec<String>) -> ExitCode {
    let port = match arguments.first() {
        Some(argument) => argument.parse().unwrap_or(0),
        None => 9876,
    };
    if port == 0 {
        println!("Invalid port");
        return ExitCode::FAILURE;
    }
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(accept_connection)
        .on_error(accept_error)
        // Listen on 0.0.0.0, on the given port.
        .bind(&base, (Ipv4Addr::UNSPECIFIED, port));
    let _listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("Couldn't create listener: {error}");
            return ExitCode::FAILURE;
        }
    };
    base.dispatch();
    ExitCode::SUCCESS
}

evconn_guest::command!(main);
