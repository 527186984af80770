//! A port forwarder: it connects to a server for each connection, and transfers the bytes in both directions. The
//! arguments are the address to listen on and the address of the server, such as `127.0.0.1:8080 192.0.2.1:80`.

use evconn_guest::{
    BufferedConnection, Connection, Direction, Event, EventBase, Listener, eprintln, println,
};
use std::net::SocketAddr;
use std::time::Duration;

/// Reading from one connection pauses while the output of the other one is longer than this, in bytes.
const MAX_UNSENT: usize = 256 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn main(arguments: Vec<String>) -> Result<(), String> {
    let [address, server] = &arguments[..] else {
        return Err("it takes two addresses: where to listen, and where to connect to".to_owned());
    };
    let [address, server] = [parse(address)?, parse(server)?];

    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(move |listener, client| forward(listener, client, server))
        .on_error(|_, error| eprintln!("{error}"))
        .bind(&base, address)
        .map_err(|error| format!("{address}: {error}"))?;
    let addresses = listener
        .local_addresses()
        .map_err(|error| error.to_string())?;
    println!("Listening on {}", addresses[0]);
    base.dispatch();
    Ok(())
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{text:?} is no address, such as 127.0.0.1:8080"))
}

fn forward(listener: &Listener, client: Connection, server: SocketAddr) {
    let client = BufferedConnection::new(listener.base(), client);
    match BufferedConnection::connect(listener.base(), server) {
        Ok(server) => {
            server.set_timeouts(None, Some(CONNECT_TIMEOUT));
            pass_on(&client, &server);
            pass_on(&server, &client);
        }
        Err(error) => {
            eprintln!("{server}: {error}");
            client.close();
        }
    }
}

/// Transfers the bytes of one connection to another.
fn pass_on(from: &BufferedConnection, to: &BufferedConnection) {
    let other = to.clone();
    from.on_read(move |from: &BufferedConnection| {
        other.send(from.take_input());
        if other.output_len() > MAX_UNSENT {
            // The write callback resumes reading.
            from.disable(Direction::Read);
        }
    });

    let other = from.clone();
    to.set_watermarks(Direction::Write, MAX_UNSENT / 2, 0);
    to.on_write(move |_: &BufferedConnection| other.enable(Direction::Read));

    let other = to.clone();
    from.on_event(move |from: &BufferedConnection, event| match event {
        Event::Connected => from.set_timeouts(None, None),
        // The other direction may still be open.
        Event::End if !other.has_ended() => other.finish(),
        Event::End => close_both(from, &other),
        Event::TimedOut(_) => {
            eprintln!("{}: no connection in {CONNECT_TIMEOUT:?}", from.peer_addr());
            close_both(from, &other);
        }
        Event::Error(error) => {
            eprintln!("{}: {error}", from.peer_addr());
            close_both(from, &other);
        }
    });
    from.enable(Direction::Read);
}

/// Closes both connections after their output is sent.
fn close_both(one: &BufferedConnection, other: &BufferedConnection) {
    one.close();
    other.close();
}

evconn_guest::command!(main);
