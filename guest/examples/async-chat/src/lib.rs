//! A chat room: a service of WASI 0.3 that sends each line of a peer to all other peers. They meet if they share an
//! instance: `evconn serve --instances 1 --concurrency 1000`.

use evconn_guest::p3::{Connection, Writer, spawn};
use futures::channel::mpsc::{Receiver, Sender, channel};
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// The longest line, with its end.
const LONGEST: u64 = 1_000;

/// How many lines may wait for a peer. One that takes them too slowly misses some.
const WAITING: usize = 100;

thread_local! {
    /// Everyone in the room: their names, and where to send lines to.
    static ROOM: RefCell<Vec<(u64, Sender<Rc<str>>)>> = const { RefCell::new(Vec::new()) };
}

async fn chat(connection: Connection) -> io::Result<()> {
    let number = connection.number();
    let (reader, writer) = connection.split();
    let (to_peer, lines) = channel(WAITING);
    let others = ROOM.with_borrow_mut(|room| {
        room.push((number, to_peer));
        room.len() - 1
    });
    let _guest = Guest(number);
    spawn(send(lines, writer));
    tell(number, &format!("* you are with {others} others\n"));
    tell_others(number, &format!("* {number} is here\n"));
    let mut lines = reader;
    loop {
        let mut line = String::new();
        (&mut lines).take(LONGEST).read_line(&mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        tell_others(number, &format!("{number}: {}\n", line.trim_end()));
    }
}

/// Someone in the room, until this is dropped: however the connection ends.
struct Guest(u64);

impl Drop for Guest {
    fn drop(&mut self) {
        ROOM.with_borrow_mut(|room| room.retain(|(number, _)| *number != self.0));
        tell_others(self.0, &format!("* {} has left\n", self.0));
    }
}

/// Sends a peer its lines.
async fn send(mut lines: Receiver<Rc<str>>, mut writer: Writer) {
    while let Some(line) = lines.next().await {
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn tell(number: u64, line: &str) {
    tell_those(|other| other == number, line);
}

fn tell_others(number: u64, line: &str) {
    tell_those(|other| other != number, line);
}

fn tell_those(is_told: impl Fn(u64) -> bool, line: &str) {
    let line: Rc<str> = line.into();
    ROOM.with_borrow_mut(|room| {
        for (_, to_peer) in room.iter_mut().filter(|(number, _)| is_told(*number)) {
            // It is full, or its peer is gone.
            let _ = to_peer.try_send(Rc::clone(&line));
        }
    });
}

evconn_guest::p3_service!(chat);
