//! Who is there, and what they are told.

use evconn_guest::BufferedConnection;
use std::cell::RefCell;
use std::io::Write;

/// What may wait for a peer that does not read. One that has more is dropped: it holds nobody up.
const MAX_UNREAD: usize = 256 << 10;

/// A peer's number in its room.
pub type Seat = u64;

#[derive(Default)]
pub struct Room(RefCell<State>);

#[derive(Default)]
struct State {
    members: Vec<Member>,
    seats: Seat,
}

struct Member {
    seat: Seat,
    name: String,
    connection: BufferedConnection,
}

impl Room {
    pub fn enter(&self, name: &str, connection: &BufferedConnection) -> Seat {
        let mut state = self.0.borrow_mut();
        state.seats += 1;
        let seat = state.seats;
        state.tell(None, format_args!("* {name} is here"));
        let others: Vec<_> = state.members.iter().map(|other| &*other.name).collect();
        connection.send(format!(
            "* you are with {} others: {}\n",
            others.len(),
            others.join(", ")
        ));
        state.members.push(Member {
            seat,
            name: name.to_owned(),
            connection: connection.clone(),
        });
        seat
    }

    pub fn say(&self, seat: Seat, text: &str) {
        let mut state = self.0.borrow_mut();
        // A seat is taken later than all before it.
        let found = state
            .members
            .binary_search_by_key(&seat, |member| member.seat);
        if let Ok(index) = found {
            let name = state.members[index].name.clone();
            state.tell(Some(seat), format_args!("{name}: {text}"));
        }
    }

    /// Take a peer out, if it is in, and tell the others.
    pub fn leave(&self, connection: &BufferedConnection) {
        let mut state = self.0.borrow_mut();
        let index = state
            .members
            .iter()
            .position(|member| member.connection == *connection);
        if let Some(index) = index {
            let Member { name, .. } = state.members.remove(index);
            state.tell(None, format_args!("* {name} is gone"));
        }
    }
}

impl State {
    /// Send a line to all but one. Those who do not read are dropped, and that is said, too.
    fn tell(&mut self, but: Option<Seat>, line: std::fmt::Arguments<'_>) {
        let mut lines = vec![(but, format!("{line}\n"))];
        while let Some((but, line)) = lines.pop() {
            self.members.retain(|member| {
                let mut connection = &member.connection;
                if Some(member.seat) == but || connection.write_all(line.as_bytes()).is_err() {
                    return true;
                }
                let reads = connection.output_len() <= MAX_UNREAD;
                if !reads {
                    let gone = format!("* {} is gone: it does not read\n", member.name);
                    lines.push((None, gone));
                    connection.abort();
                }
                reads
            });
        }
    }
}
