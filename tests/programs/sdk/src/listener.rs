//! What callbacks may do to their listener, to others and to the loop, and the listener's limits.

use crate::report::{say, say_address, wait_for_test};
use evconn_guest::{BufferedConnection, Connection, Direction, EventBase, Listener, State};
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// A place that a callback can empty.
type Place = Rc<RefCell<Option<Listener>>>;

fn ended(base: &EventBase) {
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// Peers wait: one callback, and the others are reset.
pub fn dropped_in_its_callback(ip: IpAddr) {
    let base = EventBase::new();
    let place = Place::default();
    let itself = Rc::clone(&place);
    let listener = Listener::builder()
        .on_connection(move |_, _| {
            say("call", "dropped");
            itself.take().expect("it is there");
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    place.replace(Some(listener));
    wait_for_test();
    ended(&base);
}

pub fn closed_in_its_error_callback(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|_, _| {})
        .on_error(|listener, error| {
            say("error", error);
            listener.close();
            say("state", format_args!("{:?}", listener.state()));
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    ended(&base);
}

pub fn dropped_in_its_error_callback(ip: IpAddr) {
    let base = EventBase::new();
    let place = Place::default();
    let itself = Rc::clone(&place);
    let listener = Listener::builder()
        .on_connection(|_, _| {})
        .on_error(move |_, error| {
            say("error", error);
            itself.take().expect("it is there");
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    place.replace(Some(listener));
    ended(&base);
}

/// In one batch, the second peer gets the second callback.
pub fn another_callback_for_the_next_peer(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|listener, _| {
            say("call", "first");
            listener.set_callback(Some(|listener: &Listener, _: Connection| {
                say("call", "second");
                listener.disable();
            }));
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    ended(&base);
}

/// A peer that waits meanwhile is delivered when there is a callback again.
pub fn paused_in_its_callback(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|listener, _| {
            say("call", "first");
            listener.pause();
            say("state", format_args!("{:?}", listener.state()));
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    let again = listener.clone();
    base.timer(Duration::from_millis(20), move |_| {
        say("timer", "set");
        again.set_callback(Some(|listener: &Listener, _: Connection| {
            say("call", "second");
            listener.disable();
        }));
    });
    ended(&base);
}

pub fn disabled_and_enabled_in_its_callback(ip: IpAddr) {
    let base = EventBase::new();
    let mut left = 3;
    let listener = Listener::builder()
        .on_connection(move |listener, _| {
            say("call", left);
            listener.disable();
            left -= 1;
            if left > 0 {
                listener.enable().expect("enabled");
            }
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    ended(&base);
}

/// The first one makes a second one, and the second one drops the first.
pub fn another_one_made_and_dropped_in_a_callback(ip: IpAddr) {
    let base = EventBase::new();
    let first = Place::default();
    let second = Place::default();
    let to_drop = Rc::clone(&first);
    let listener = Listener::builder()
        .on_connection(move |listener, _| {
            say("call", "first");
            let (first, itself) = (Rc::clone(&to_drop), Rc::clone(&second));
            let other = Listener::builder()
                .on_connection(move |_, _| {
                    say("call", "second");
                    first.take().expect("it is there");
                    itself.take().expect("it is there");
                })
                .bind(listener.base(), (ip, 0))
                .expect("a listener");
            say_address(&other);
            second.replace(Some(other));
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    first.replace(Some(listener));
    ended(&base);
}

/// The second peer waits for the next loop.
pub fn broken_in_a_callback(ip: IpAddr) {
    let base = EventBase::new();
    // Where no loop runs it has no effect.
    base.loop_break();
    let listener = Listener::builder()
        .on_connection(|listener, _| {
            say("call", "break");
            listener.base().loop_break();
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    ended(&base);
    ended(&base);
}

/// Both of those who wait have their turn.
pub fn exit_in_a_callback(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|listener, connection| {
            say("call", "exit");
            let connection = BufferedConnection::new(listener.base(), connection);
            connection.send("seen");
            listener.base().loop_exit(Duration::ZERO);
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    ended(&base);
}

pub fn nested_loop(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|listener, _| {
            let base = listener.base();
            say("dispatch", format_args!("{:?}", base.dispatch()));
            say("run_once", format_args!("{:?}", base.run_once()));
            listener.disable();
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    ended(&base);
}

/// Peers say when they are to be closed. The listener counts.
pub fn at_most_two_connections(ip: IpAddr) {
    let base = EventBase::new();
    let mut left = 4;
    let listener = Listener::builder()
        .max_connections(2)
        .on_connection(move |listener, connection| {
            say("open", listener.open_connections());
            let connection = BufferedConnection::new(listener.base(), connection);
            connection.send("welcome\n");
            connection.enable(Direction::Read);
            left -= 1;
            if left == 0 {
                listener.disable();
            }
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    let watched = listener.clone();
    let watch = base.interval(Duration::from_millis(1), move |base| {
        if watched.state() == State::Full {
            say("state", "Full");
            base.loop_break();
        }
    });
    ended(&base);
    watch.cancel();
    ended(&base);
    say("open", listener.open_connections());
}

/// Peers that wait are not lost.
pub fn taken_apart_and_put_together(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|_, _| say("call", "first"))
        .bind(&base, (ip, 0))
        .expect("a listener");
    let address = say_address(&listener);
    wait_for_test();
    let sockets = listener.into_sockets();
    say("state", format_args!("{:?}", listener.state()));
    let again = Listener::builder()
        .on_connection(|listener, _| {
            say("call", "second");
            listener.disable();
        })
        .from_sockets(&base, sockets)
        .expect("a listener");
    assert_eq!(again.local_addresses().expect("it is open"), [address]);
    ended(&base);
}

/// Each step of the backoff is one error, until there have been three.
pub fn resources_run_out(ip: IpAddr) {
    let base = EventBase::new();
    let mut errors = 0;
    let listener = Listener::builder()
        .on_connection(|_, _| {})
        .on_error(move |listener, error| {
            say("error", format_args!("{error}, {:?}", error.recovery));
            errors += 1;
            if errors == 3 {
                listener.disable();
            }
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    ended(&base);
}

pub fn addresses_that_cannot_be_bound(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .bind(&base, (ip, 0))
        .expect("a listener");
    let address = listener.local_addresses().expect("it is open")[0];
    let error = Listener::builder().bind(&base, address).expect_err("taken");
    say("taken", format_args!("{error}, {:?}", error.kind()));
    let builder = Listener::builder().backlog(0);
    let error = builder.bind(&base, (ip, 0)).expect_err("no backlog");
    say("no backlog", format_args!("{error}, {:?}", error.kind()));
    let builder = Listener::builder().reuse_port();
    let error = builder.bind(&base, (ip, 0)).expect_err("not granted");
    say("reuse port", format_args!("{error}, {:?}", error.kind()));
    ended(&base);
}

/// All of them at once. It delivers its peer once that has sent something.
/// In each of two families, on one port.
pub fn dual_stack(ip: IpAddr) {
    let base = EventBase::new();
    match Listener::builder().dual_stack().bind(&base, (ip, 0)) {
        Ok(listener) => {
            let addresses = listener.local_addresses().expect("it is open");
            addresses
                .iter()
                .for_each(|address| say("listening", address));
        }
        Err(error) => say("refused", error),
    }
}

pub fn options(ip: IpAddr) {
    let base = EventBase::new();
    let builder = Listener::builder()
        .backlog(16)
        .disabled()
        .blocking()
        .deferred_accept(10, Duration::from_secs(60))
        .on_connection(|listener, mut connection| {
            let mut line = [0; 6];
            std::io::Read::read_exact(&mut connection, &mut line).expect("a line");
            say("peer", String::from_utf8_lossy(&line).trim_end());
            listener.close();
        });
    let builder = if ip.is_ipv6() {
        builder.ipv6_only()
    } else {
        builder
    };
    let listener = builder.bind(&base, (ip, 0)).expect("a listener");
    say_address(&listener);
    say("state", format_args!("{:?}", listener.state()));
    ended(&base);
    listener.enable().expect("enabled");
    ended(&base);
}
