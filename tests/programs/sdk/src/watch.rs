//! Connections without a buffer, watched in the loop.

use crate::report::{say, say_address, wait_for_test};
use evconn_guest::{
    BufferedConnection, Connection, Direction, EventBase, Listener, Ready, Timer, Watch,
};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(5);

/// The connections of so many peers, once the test says that they have sent what they are to send.
fn peers(base: &EventBase, ip: IpAddr, count: usize) -> Vec<Connection> {
    let connections: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let all = Rc::clone(&connections);
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            all.borrow_mut().push(connection);
            if all.borrow().len() == count {
                listener.close();
            }
        })
        .bind(base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    base.dispatch();
    wait_for_test();
    connections.take()
}

fn one_peer(base: &EventBase, ip: IpAddr) -> Rc<Connection> {
    let connection = peers(base, ip, 1).pop();
    Rc::new(connection.expect("a peer"))
}

fn dispatch(base: &EventBase) {
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// It says so when it is dropped, with the closure that owns it.
struct Owned;

impl Drop for Owned {
    fn drop(&mut self) {
        say("closure", "dropped");
    }
}

/// One watch reads, and the other one writes while there is something to write.
pub fn watched_echo(ip: IpAddr) {
    let base = EventBase::new();
    let connection = one_peer(&base, ip);
    let pending: Rc<RefCell<Vec<u8>>> = Rc::default();

    let has_ended = Rc::new(Cell::new(false));

    let (its, rest, ended) = (
        Rc::clone(&connection),
        Rc::clone(&pending),
        Rc::clone(&has_ended),
    );
    let writes = base.watch(&connection, Direction::Write, move |watch, what| {
        assert_eq!(what, Ready::Write);
        let mut rest = rest.borrow_mut();
        match (&*its).write(&rest) {
            Ok(count) => drop(rest.drain(..count)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        match (rest.is_empty(), ended.get()) {
            (true, true) => watch.remove(),
            (true, false) => watch.disable(),
            _ => {}
        }
    });
    writes.disable();
    assert!(!writes.is_enabled());

    let its = Rc::clone(&connection);
    let read = move |watch: &Watch, what| {
        assert_eq!(what, Ready::Read);
        let mut bytes = vec![0; 1 << 16];
        match (&*its).read(&mut bytes) {
            Ok(0) => {
                has_ended.set(true);
                // It writes the rest, though who knows it goes with this closure.
                writes.enable();
                writes.clone().detach();
                watch.remove();
            }
            Ok(count) => {
                pending.borrow_mut().extend(&bytes[..count]);
                writes.enable();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    };
    base.watch(&connection, Direction::Read, read).detach();
    drop(connection);
    dispatch(&base);
}

/// What is not read is told of again, but not while it is disabled.
pub fn disabled_in_its_closure(ip: IpAddr) {
    let base = EventBase::new();
    let connection = one_peer(&base, ip);
    let once = |watch: &Watch, what| {
        say("call", format_args!("{what:?}"));
        watch.disable();
    };
    let watch = base.watch(&connection, Direction::Read, once);
    dispatch(&base);
    assert!(!watch.has_ended());
    watch.enable();
    watch.enable();
    dispatch(&base);
    drop(connection);
    watch.enable();
    say("enabled", watch.is_enabled());
    dispatch(&base);
}

/// Both directions, until each was told of.
pub fn both_directions(ip: IpAddr) {
    let base = EventBase::new();
    let connection = one_peer(&base, ip);
    let its = Rc::clone(&connection);
    let watch = base.watch(
        &connection,
        Direction::Both,
        move |watch, what| match what {
            Ready::Read => {
                let mut bytes = [0; 10];
                let count = (&*its).read(&mut bytes).expect("they are there");
                say("read", String::from_utf8_lossy(&bytes[..count]));
                watch.remove();
            }
            Ready::Write => (&*its).write_all(b"w").expect("written"),
            Ready::TimedOut => unreachable!("no timeout is set"),
        },
    );
    dispatch(&base);
    say("ended", watch.has_ended());
}

/// Each time that nothing has come for so long.
pub fn timed_out(ip: IpAddr) {
    let base = EventBase::new();
    let connection = one_peer(&base, ip);
    let late = Cell::new(0);
    let watch = base.watch(&connection, Direction::Read, move |watch, what| {
        say("call", format_args!("{what:?}"));
        late.set(late.get() + 1);
        if late.get() == 2 {
            watch.set_timeout(None);
            let watch = watch.clone();
            let base = watch.base().expect("it runs");
            base.timer(SOON * 2, move |_| {
                say("timer", "disables it");
                watch.disable();
            });
        }
    });
    watch.set_timeout(Some(SOON));
    dispatch(&base);
}

/// Its pollables, of both directions, go before its streams.
pub fn connection_dropped_in_its_closure(ip: IpAddr) {
    let base = EventBase::new();
    let connection = peers(&base, ip, 1).pop().expect("a peer");
    let place: Rc<RefCell<Option<Connection>>> = Rc::default();
    let its = Rc::clone(&place);
    let owned = Owned;
    let watch = base.watch(&connection, Direction::Both, move |watch, _| {
        let _ = &owned;
        drop(its.take());
        say("call", watch.has_ended());
        watch.enable();
    });
    place.replace(Some(connection));
    watch.clone().detach();
    dispatch(&base);
    say("enabled", watch.is_enabled());
}

/// The last handle goes, and with it the closure and its connection.
pub fn handle_dropped(ip: IpAddr) {
    let base = EventBase::new();
    let connection = one_peer(&base, ip);
    let (owned, its) = (Owned, Rc::clone(&connection));
    let watch = base.watch(&connection, Direction::Both, move |_, _| {
        let _ = &owned;
        say("call", its.peer_addr());
    });
    drop(connection);
    drop(watch);
    dispatch(&base);
}

/// Two are ready in one turn, and the first drops the other one's connection, or removes it, or
/// breaks the loop.
pub fn one_call_of_two(ip: IpAddr) {
    let base = EventBase::new();
    for how in ["drop", "remove", "disable", "break"] {
        let all: Rc<RefCell<Vec<Connection>>> = Rc::default();
        let watches: Rc<RefCell<Vec<Watch>>> = Rc::default();
        for connection in peers(&base, ip, 2) {
            let (others, other_watches) = (Rc::clone(&all), Rc::clone(&watches));
            let watch = base.watch(&connection, Direction::Read, move |watch, _| {
                say("call", how);
                match how {
                    "drop" => drop(others.take()),
                    "break" => watch.base().expect("it runs").loop_break(),
                    "remove" => other_watches.borrow().iter().for_each(Watch::remove),
                    _ => other_watches.borrow().iter().for_each(Watch::disable),
                }
            });
            watches.borrow_mut().push(watch);
            all.borrow_mut().push(connection);
        }
        dispatch(&base);
        // The closures own what owns them.
        watches.borrow().iter().for_each(Watch::remove);
    }
}

/// From then on it has a buffer, and who watched it does so no more.
pub fn given_a_buffer(ip: IpAddr) {
    let base = EventBase::new();
    let connection = peers(&base, ip, 1).pop().expect("a peer");
    let watch = base.watch(&connection, Direction::Both, |_, _| say("call", "never"));
    let connection = BufferedConnection::new(&base, connection);
    say("has ended", watch.has_ended());
    connection.on_read(|connection: &BufferedConnection| {
        let input = connection.take_input().into_vec();
        say("input", String::from_utf8_lossy(&input));
        connection.close();
    });
    connection.enable(Direction::Read);
    dispatch(&base);
}

/// It goes with everything that is watched, whoever owns that.
pub fn watched_base_dropped(ip: IpAddr) {
    let base = EventBase::new();
    let mut connections = peers(&base, ip, 3);
    let (detached, of_timer) = (connections.pop(), connections.pop());
    let (Some(detached), Some(of_timer)) = (detached.map(Rc::new), of_timer) else {
        unreachable!("there are three");
    };
    let (owned, its) = (Owned, Rc::clone(&detached));
    let owns = move |_: &Watch, _| {
        let _ = &owned;
        say("call", its.peer_addr());
    };
    base.watch(&detached, Direction::Both, owns).detach();
    drop(detached);
    // Its connection goes first, while the base is going.
    let watch = base.watch(&of_timer, Direction::Both, |_, _| say("call", "never"));
    let hour = Duration::from_secs(3600);
    let _: Timer = base.timer(hour, move |_| drop(of_timer));
    // Both of these outlive it.
    let left = connections.pop().expect("there are three");
    let late = base.watch(&left, Direction::Both, |_, _| say("call", "never"));
    drop(base);
    say("timer's", watch.has_ended());
    late.enable();
    late.set_timeout(Some(SOON));
    say("base", late.base().is_some());
    drop((left, late));
    wait_for_test();
}

/// More than a host may let write at once: each of them writes nevertheless, again and again.
pub fn many_writers(ip: IpAddr) {
    const COUNT: usize = 300;
    const MESSAGES: usize = 10;
    let base = EventBase::new();
    let connections = peers(&base, ip, COUNT).into_iter().map(Rc::new);
    for connection in connections {
        let its = Rc::clone(&connection);
        let mut left = MESSAGES;
        let write = move |watch: &Watch, _| match (&*its).write(b"x") {
            Ok(_) if left > 1 => left -= 1,
            Ok(_) => watch.remove(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        };
        base.watch(&connection, Direction::Write, write).detach();
    }
    dispatch(&base);
}

/// A peer that is gone is told of, in either direction.
pub fn peer_gone(ip: IpAddr) {
    let base = EventBase::new();
    let connection = one_peer(&base, ip);
    let its = Rc::clone(&connection);
    let read = move |watch: &Watch, _| {
        let all = io::copy(&mut &*its, &mut io::sink());
        match all {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => {
                say("gone", outcome.is_err());
                watch.remove();
            }
        }
    };
    let watch = base.watch(&connection, Direction::Read, read);
    // A peer that is gone before it is accepted is none.
    say("watching", watch.is_enabled());
    dispatch(&base);
}
