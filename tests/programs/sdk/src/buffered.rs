//! Buffered connections: watermarks, timeouts, connecting, ending, and what callbacks may do.

use crate::report::{say, say_address, wait_for_test};
use evconn_guest::{BufferedConnection, Connection, Direction, Event, EventBase, Listener};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(5);

/// A listener that takes one peer, and what is done about that.
fn one_peer(
    base: &EventBase,
    ip: IpAddr,
    mut then: impl FnMut(BufferedConnection) + 'static,
) -> Listener {
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            listener.disable();
            then(BufferedConnection::new(listener.base(), connection));
        })
        .bind(base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    listener
}

fn run(ip: IpAddr, then: impl FnMut(BufferedConnection) + 'static) {
    let base = EventBase::new();
    let _listener = one_peer(&base, ip, then);
    say("ended", format_args!("{:?}", base.dispatch()));
}

fn say_event(connection: &BufferedConnection, event: Event) {
    match event {
        Event::Error(error) => say("event", format_args!("Error({:?})", error.kind())),
        event => say("event", format_args!("{event:?}")),
    }
    connection.close();
}

/// Until the peer ends, and all of it comes back.
pub fn echo(ip: IpAddr) {
    run(ip, |connection| {
        connection
            .on_read(|connection: &BufferedConnection| connection.send(connection.take_input()));
        connection.on_event(say_event);
        connection.enable(Direction::Both);
    });
}

/// The read callback is called when there are six bytes, and not before.
pub fn low_watermark(ip: IpAddr) {
    run(ip, |connection| {
        connection.set_watermarks(Direction::Read, 6, 0);
        connection.on_read(|connection: &BufferedConnection| {
            assert!(connection.input_len() >= 6, "{}", connection.input_len());
            say(
                "input",
                String::from_utf8_lossy(&connection.take_input().into_vec()),
            );
            connection.send("more\n");
        });
        connection.on_event(say_event);
        connection.send("begin\n");
        connection.enable(Direction::Read);
    });
}

/// Nothing beyond eight bytes is read before some are taken.
pub fn high_watermark(ip: IpAddr) {
    run(ip, |connection| {
        connection.set_watermarks(Direction::Read, 8, 8);
        connection.on_read(|connection: &BufferedConnection| {
            say("input", connection.input_len());
            let connection = connection.clone();
            let base = connection.base().expect("it runs");
            base.timer(SOON, move |_| {
                say("input", connection.input_len());
                let taken = connection.with_input(|input| input.take_bytes(8));
                say("taken", String::from_utf8_lossy(&taken));
            });
        });
        connection.on_event(say_event);
        connection.enable(Direction::Read);
    });
}

/// A peer that does not read is read from no more, and all of it comes back once it reads.
pub fn back_pressure(ip: IpAddr) {
    const HIGH: usize = 100_000;
    let most = Rc::new(Cell::new(0));
    let seen = Rc::clone(&most);
    run(ip, move |connection| {
        connection.set_watermarks(Direction::Write, 0, HIGH);
        let seen = Rc::clone(&seen);
        connection.on_read(move |connection: &BufferedConnection| {
            connection.send(connection.take_input());
            seen.set(seen.get().max(connection.output_len()));
        });
        connection.on_event(say_event);
        connection.enable(Direction::Read);
        let base = connection.base().expect("it runs");
        let before = Cell::new(0);
        // Until nothing has moved for a while.
        let watch: Rc<RefCell<Option<evconn_guest::Timer>>> = Rc::default();
        let itself = Rc::clone(&watch);
        let quiet = Cell::new(0);
        let watched = connection.clone();
        watch.replace(Some(base.interval(SOON, move |_| {
            let now = watched.output_len();
            let is_still = now > HIGH && now == before.replace(now);
            quiet.set(if is_still { quiet.get() + 1 } else { 0 });
            if quiet.get() == 10 {
                say("paused", "yes");
                itself.take().expect("it is there").cancel();
            }
        })));
    });
    // One read beyond the watermark.
    say("bounded", most.get() <= HIGH + (512 << 10));
}

/// A peer that sends nothing.
pub fn read_timeout(ip: IpAddr) {
    run(ip, |connection| {
        connection.set_timeouts(Some(SOON), None);
        connection.on_event(say_event);
        connection.enable(Direction::Read);
    });
}

/// Whoever goes on after a timeout is told again, after as long again.
pub fn timed_out_again(ip: IpAddr) {
    run(ip, |connection| {
        let is_late = Rc::new(Cell::new(false));
        let late = Rc::clone(&is_late);
        let base = connection.base().expect("it runs");
        base.timer(SOON * 2, move |_| late.set(true));
        let mut left = 3;
        connection.set_timeouts(Some(SOON), None);
        connection.on_event(move |connection: &BufferedConnection, event| {
            say("event", format_args!("{event:?}"));
            connection.enable(Direction::Read);
            left -= 1;
            if left == 0 {
                say("late", is_late.get());
                connection.close();
            }
        });
        connection.enable(Direction::Read);
    });
}

/// Others are not called in that turn, but in the next.
pub fn broken_in_its_write_callback(ip: IpAddr) {
    const PEERS: usize = 3;
    let base = EventBase::new();
    let connections = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&connections);
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            let connection = BufferedConnection::new(listener.base(), connection);
            all.borrow_mut().push(connection);
            if all.borrow().len() == PEERS {
                listener.base().loop_break();
            }
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    base.dispatch();
    let calls = Rc::new(Cell::new(0));
    for connection in &*connections.borrow() {
        let calls = Rc::clone(&calls);
        connection.on_write(move |connection: &BufferedConnection| {
            calls.set(calls.get() + 1);
            connection.base().expect("it runs").loop_break();
        });
        connection.send("hello");
    }
    for _ in 0..PEERS {
        let ended = base.dispatch();
        say("called", format_args!("{} {ended:?}", calls.get()));
    }
}

/// A peer that reads nothing. Its connection cannot be closed either: the loop is told to end.
pub fn write_timeout(ip: IpAddr) {
    run(ip, |connection| {
        connection.set_timeouts(None, Some(SOON * 10));
        connection.on_event(|connection: &BufferedConnection, event| {
            say("event", format_args!("{event:?}"));
            connection.abort();
            let base = connection.base().expect("it runs");
            say("closing", base.closing());
            base.loop_break();
        });
        connection.send(vec![b'x'; 32 << 20]);
    });
}

/// What was sent before is sent when it is connected.
pub fn connects(ip: IpAddr) {
    let base = EventBase::new();
    let connection = Rc::new(Cell::new(0));
    let count = Rc::clone(&connection);
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            count.set(count.get() + 1);
            listener.disable();
            let connection = BufferedConnection::new(listener.base(), connection);
            connection.on_read(|connection: &BufferedConnection| {
                if let Some(line) = connection.take_line() {
                    connection.send(line);
                    connection.close();
                }
            });
            connection.enable(Direction::Read);
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    let address = listener.local_addresses().expect("it is open")[0];
    let client = BufferedConnection::connect(&base, address).expect("begun");
    assert_eq!(client.peer_addr(), address);
    assert!(client.with_socket(|_| ()).is_none(), "not yet");
    client.send("hello\n");
    client.on_read(|client: &BufferedConnection| {
        if let Some(line) = client.take_line() {
            say("answer", String::from_utf8_lossy(&line).trim_end());
        }
    });
    client.on_event(|client: &BufferedConnection, event| {
        say("event", format_args!("{event:?}"));
        if let Event::End = event {
            client.close();
        }
    });
    client.enable(Direction::Read);
    say("ended", format_args!("{:?}", base.dispatch()));
    say("connections", connection.get());
}

pub fn connect_is_refused(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .bind(&base, (ip, 0))
        .expect("a listener");
    let address = listener.local_addresses().expect("it is open")[0];
    drop(listener);
    let client = BufferedConnection::connect(&base, address).expect("begun");
    client.send("lost");
    client.on_event(say_event);
    say("ended", format_args!("{:?}", base.dispatch()));
    assert!(client.is_closed());
    // Without a callback it just closes.
    let client = BufferedConnection::connect(&base, address).expect("begun");
    say("ended", format_args!("{:?}", base.dispatch()));
    assert!(client.is_closed());
    // One that is given up calls nobody.
    let client = BufferedConnection::connect(&base, address).expect("begun");
    client.on_event(say_event);
    client.close();
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// This side ends once its output is sent, and the other one goes on.
pub fn finished_side(ip: IpAddr) {
    run(ip, |connection| {
        connection.on_read(|connection: &BufferedConnection| {
            if let Some(line) = connection.take_line() {
                say("line", String::from_utf8_lossy(&line).trim_end());
            }
        });
        connection.on_event(say_event);
        connection.send(vec![b'x'; 4 << 20]);
        connection.finish();
        connection.send("too late");
        let refused = (&connection)
            .write(b"too late")
            .expect_err("it is finished");
        say("write", format_args!("{:?}", refused.kind()));
        connection.enable(Direction::Read);
    });
}

/// It is closed at once, and all of it arrives.
pub fn large_answer(ip: IpAddr) {
    run(ip, |connection| {
        connection.send(vec![b'x'; 32 << 20]);
        connection.close();
        assert!(connection.is_closed());
        connection.close();
        connection.send("too late");
        let base = connection.base().expect("it runs");
        say("closing", base.closing());
    });
}

/// What is in the output is not sent.
pub fn aborted(ip: IpAddr) {
    run(ip, |connection| {
        connection.send("not sent");
        connection.abort();
    });
}

/// While another handle of it is still there, and its closure owns something.
pub fn closed_in_its_read_callback(ip: IpAddr) {
    struct Owned;
    impl Drop for Owned {
        fn drop(&mut self) {
            say("closure", "dropped");
        }
    }
    run(ip, |connection| {
        let owned = Owned;
        connection.on_read(move |connection: &BufferedConnection| {
            let _ = &owned;
            connection.send("goodbye");
            connection.close();
            say("callback", "still runs");
        });
        connection.on_event(say_event);
        connection.enable(Direction::Read);
    });
}

/// Two are ready in one turn, and the first closes the second.
pub fn closed_by_another_one(ip: IpAddr) {
    let base = EventBase::new();
    let peers: Rc<RefCell<Vec<BufferedConnection>>> = Rc::default();
    let all = Rc::clone(&peers);
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            let connection = BufferedConnection::new(listener.base(), connection);
            all.borrow_mut().push(connection.clone());
            let others = Rc::clone(&all);
            connection.on_read(move |_: &BufferedConnection| {
                say("call", "closes all");
                for peer in others.take() {
                    peer.close();
                }
            });
            connection.on_event(say_event);
            if all.borrow().len() == 2 {
                listener.close();
                wait_for_test();
                for peer in &*all.borrow() {
                    peer.enable(Direction::Read);
                }
            }
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// Each callback sets the next one, while it runs.
pub fn callbacks_replaced(ip: IpAddr) {
    run(ip, |connection| {
        connection.on_read(|connection: &BufferedConnection| {
            say("read", connection.take_input().len());
            connection.on_read(|connection: &BufferedConnection| {
                say("read by the next one", connection.take_input().len());
                connection.close();
            });
            connection.on_write(|connection: &BufferedConnection| {
                say("written", connection.output_len());
                connection.on_write(|_: &BufferedConnection| {});
            });
            connection.send("go on\n");
        });
        connection.enable(Direction::Both);
    });
}

/// The closure that looks may call the connection, too.
pub fn input_looked_at(ip: IpAddr) {
    run(ip, |connection| {
        connection.on_read(|connection: &BufferedConnection| {
            let inside = connection.clone();
            connection.with_input(|input| {
                assert_eq!(inside.input_len(), 0, "it is lent out");
                say("input", String::from_utf8_lossy(&input.take_bytes(4)));
            });
            say("left", connection.input_len());
            say(
                "line",
                String::from_utf8_lossy(&connection.take_line().expect("a line")).trim_end(),
            );
            connection.close();
        });
        connection.enable(Direction::Read);
    });
}

/// It closes when its peer ends.
pub fn without_an_event_callback(ip: IpAddr) {
    run(ip, |connection| connection.enable(Direction::Read));
}

pub fn reset_by_the_peer(ip: IpAddr) {
    run(ip, |connection| {
        connection.on_event(|connection: &BufferedConnection, event| {
            let is_error = matches!(event, Event::Error(_));
            say("error", is_error && connection.has_ended());
            connection.close();
        });
        connection.send("connected\n");
        connection.enable(Direction::Read);
    });
}

/// The connections that a base owns close with it.
pub fn base_dropped(ip: IpAddr) {
    let base = EventBase::new();
    let kept: Rc<RefCell<Vec<BufferedConnection>>> = Rc::default();
    let all = Rc::clone(&kept);
    let listener = one_peer(&base, ip, move |connection| {
        connection.on_read(|_: &BufferedConnection| {});
        connection.enable(Direction::Read);
        let base = connection.base().expect("it runs");
        // It is being connected when the base goes.
        let own = ([192, 0, 2, 1], 9);
        let _ = BufferedConnection::connect(&base, own);
        let _ = Connection::connect(&base, own, |_, _| say("call", "never"));
        base.timer(Duration::from_secs(3600), |_| say("timer", "never"));
        base.loop_break();
        all.borrow_mut().push(connection);
    });
    say("ended", format_args!("{:?}", base.dispatch()));
    drop(listener);
    drop(base);
    let connection = kept.borrow_mut().pop().expect("a connection");
    say("closed", connection.is_closed());
    say("base", connection.base().is_some());
    connection.send("too late");
    connection.enable(Direction::Both);
    connection.set_timeouts(None, None);
    connection.close();
    wait_for_test();
}
