//! The room: its members, and the lines that are sent to them.

use evconn_guest::BufferedConnection;
use std::cell::RefCell;
use std::io::Write;

/// The maximum output of a peer, in bytes. The connection of a peer that does not read is aborted beyond it.
const MAX_UNREAD: usize = 256 << 10;

/// The number of a member, which is unique in its room.
pub type Seat = u64;

#[derive(Default)]
pub struct Room(RefCell<Members>);

#[derive(Default)]
struct Members {
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
        // Seats are in ascending order.
        let found = state
            .members
            .binary_search_by_key(&seat, |member| member.seat);
        if let Ok(index) = found {
            let name = state.members[index].name.clone();
            state.tell(Some(seat), format_args!("{name}: {text}"));
        }
    }

    /// Removes a peer, if it is a member, and tells the others.
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

impl Members {
    /// Sends a line to all members but one. Members that do not read are removed, and the others receive a notice.
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
