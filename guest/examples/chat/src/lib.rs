//! A chat server: all peers share one room, in one instance. A peer's first line is its name, and each further
//! line is sent to all other peers. The argument is the address, `127.0.0.1:9876` by default.

mod room;

use evconn_guest::{
    BufferedConnection, Connection, Direction, Event, EventBase, Listener, eprintln, println,
};
use room::Room;
use std::net::SocketAddr;
use std::rc::Rc;

/// The maximum length of a line, including its end.
const MAX_LINE: usize = 1024;

fn main(arguments: Vec<String>) -> Result<(), String> {
    let address = arguments.first().map_or("127.0.0.1:9876", String::as_str);
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address:?} is no address, such as 127.0.0.1:9876"))?;

    let base = EventBase::new();
    let room = Rc::new(Room::default());
    let listener = Listener::builder()
        .on_connection(move |listener, connection| welcome(listener, connection, &room))
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

fn welcome(listener: &Listener, connection: Connection, room: &Rc<Room>) {
    let peer = BufferedConnection::new(listener.base(), connection);
    peer.send("What is your name?\n");

    let mut seat = None;
    let its_room = Rc::clone(room);
    peer.on_read(move |peer: &BufferedConnection| {
        while let Some(line) = peer.take_line() {
            let line = String::from_utf8_lossy(&line);
            match (&seat, line.trim_end()) {
                (None, "") => peer.send("What is your name?\n"),
                (None, name) => seat = Some(its_room.enter(name, peer)),
                (Some(_), "") => {}
                (Some(seat), text) => its_room.say(*seat, text),
            }
        }
        if peer.input_len() >= MAX_LINE {
            peer.send(format!("A line has at most {MAX_LINE} bytes.\n"));
            its_room.leave(peer);
            peer.close();
        }
    });

    let its_room = Rc::clone(room);
    peer.on_event(move |peer: &BufferedConnection, _: Event| {
        its_room.leave(peer);
        peer.close();
    });
    peer.enable(Direction::Both);
}

evconn_guest::command!(main);
