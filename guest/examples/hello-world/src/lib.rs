//! libevent's hello-world, as a command: it sends a greeting to each peer, and closes the connection. The first
//! argument is the port, 9995 by default. The second one is a number of seconds after which a timer takes the
//! place of the interrupt signal, since WASI has no signals. Without it, the program does not end.

use evconn_guest::{
    BufferedConnection, Connection, Direction, Event, EventBase, Listener, eprintln, println,
};
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

const MESSAGE: &str = "Hello, World!\n";

const PORT: u16 = 9995;

fn main(arguments: Vec<String>) -> Result<(), String> {
    let port = match arguments.first() {
        Some(argument) => number(argument)?,
        None => PORT,
    };
    let base = EventBase::new();

    let _listener = Listener::builder()
        .on_connection(greet)
        .bind(&base, (Ipv4Addr::UNSPECIFIED, port))
        .map_err(|error| format!("Could not create a listener! {error}"))?;

    if let Some(argument) = arguments.get(1) {
        base.timer(Duration::from_secs(number(argument)?), interrupted);
    }

    base.dispatch();

    println!("done");
    Ok(())
}

fn number<T: FromStr>(argument: &str) -> Result<T, String> {
    let number = argument.parse();
    number.map_err(|_| format!("{argument:?} is no number, or too large"))
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
        // The other events cannot occur, since timeouts are not enabled.
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
