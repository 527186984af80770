//! libevent's hello-world, as a command: it greets whoever connects, and closes. WASI has no signals, so
//! that it is a timer that ends it: after as many seconds as its argument says, and two more.
//! Without an argument it goes on.

use evconn_guest::{
    BufferedConnection, Connection, Direction, Event, EventBase, Listener, eprintln, println,
};
use std::net::Ipv4Addr;
use std::time::Duration;

const MESSAGE: &str = "Hello, World!\n";

const PORT: u16 = 9995;

fn main(arguments: Vec<String>) -> Result<(), String> {
    let base = EventBase::new();

    let _listener = Listener::builder()
        .on_connection(greet)
        .bind(&base, (Ipv4Addr::UNSPECIFIED, PORT))
        .map_err(|error| format!("Could not create a listener! {error}"))?;

    if let Some(argument) = arguments.first() {
        let seconds = argument.parse().map_err(|_| {
            format!("{argument:?} is no number of seconds after which to be interrupted")
        })?;
        base.timer(Duration::from_secs(seconds), interrupted);
    }

    base.dispatch();

    println!("done");
    Ok(())
}

fn greet(listener: &Listener, connection: Connection) {
    let connection = BufferedConnection::new(listener.base(), connection);
    connection.on_write(written);
    connection.on_event(event);
    connection.enable(Direction::Write);
    connection.disable(Direction::Read);

    connection.send(MESSAGE);
}

fn written(connection: &BufferedConnection) {
    println!("flushed answer");
    connection.close();
}

fn event(connection: &BufferedConnection, event: Event) {
    match event {
        Event::End => println!("Connection closed."),
        Event::Error(error) => println!("Got an error on the connection: {error}"),
        // None of the others can happen here, since timeouts are not enabled.
        Event::Connected | Event::TimedOut(_) => {}
    }
    connection.close();
}

fn interrupted(base: &EventBase) {
    let delay = Duration::from_secs(2);
    eprintln!("Caught an interrupt signal; exiting cleanly in two seconds.");
    base.loop_exit(delay);
}

evconn_guest::command!(main);
