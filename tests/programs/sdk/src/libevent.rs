//! libevent's own tests of its listener, under their own names.

use crate::report::{say, say_address, wait_for_test};
use evconn_guest::{AcceptError, BufferedConnection, Connection, EventBase, Listener, State};
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

type Count = Rc<Cell<u32>>;

/// A callback that counts down, and disables its listener at 0.
fn count_down(count: &Count) -> impl FnMut(&Listener, Connection) + 'static {
    let count = Rc::clone(count);
    move |listener, _connection| {
        count.set(count.get() - 1);
        if count.get() == 0 {
            listener.disable();
        }
    }
}

fn count(number: u32) -> Count {
    Rc::new(Cell::new(number))
}

pub fn randport(ip: IpAddr) {
    let base = EventBase::new();
    let counts = [count(2), count(1)];
    let listeners = counts.each_ref().map(|count| {
        let builder = Listener::builder().on_connection(count_down(count));
        builder.bind(&base, (ip, 0)).expect("a listener")
    });
    for listener in &listeners {
        say_address(listener);
    }
    say("ended", format_args!("{:?}", base.dispatch()));
    for (listener, count) in listeners.iter().zip(counts) {
        say("left", count.get());
        say("state", format_args!("{:?}", listener.state()));
    }
}

pub fn error(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|_, _| say("connection", "none was to come"))
        .on_error(|listener, error: AcceptError| {
            say("error", format_args!("{error}, {:?}", error.recovery));
            listener.disable();
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
    match listener.state() {
        State::Stopped(code) => say("stopped", code.name()),
        state => say("state", format_args!("{state:?}")),
    }
    say("enabled", format_args!("{}", listener.enable().is_ok()));
}

/// Nobody wants to know of the error. One turn, and the listener can still be dropped.
pub fn error_unlock(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|_, _| say("connection", "none was to come"))
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    let ended = base.run_once();
    let backs_off = matches!(listener.state(), State::BackingOff(_));
    say("turned", format_args!("{ended:?}, backs off: {backs_off}"));
    drop(listener);
    say("ended", format_args!("{:?}", base.dispatch()));
}

pub fn close_accepted_fd(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|listener, connection| {
            drop(connection);
            listener.close();
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
    say("state", format_args!("{:?}", listener.state()));
}

/// Two clients wait, the first callback disables: the second one stays queued.
pub fn immediate_close(ip: IpAddr) {
    let base = EventBase::new();
    let calls = count(0);
    let counted = Rc::clone(&calls);
    let listener = Listener::builder()
        .on_connection(move |listener, _| {
            counted.set(counted.get() + 1);
            listener.disable();
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    say("ended", format_args!("{:?}", base.dispatch()));
    say("calls", calls.get());
    // It was not refused: it is delivered once the listener is enabled again.
    listener.enable().expect("enabled");
    say("ended", format_args!("{:?}", base.dispatch()));
    say("calls", calls.get());
}

pub fn enable_when_enabled(ip: IpAddr) {
    let base = EventBase::new();
    let count = count(1);
    let builder = Listener::builder().on_connection(count_down(&count));
    let listener = builder.bind(&base, (ip, 0)).expect("a listener");
    listener.enable().expect("enabled");
    listener.enable().expect("enabled when enabled");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
    say("left", count.get());
}

pub fn both_of_two_clients_are_served(ip: IpAddr) {
    let base = EventBase::new();
    let mut left = 2;
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            let connection = BufferedConnection::new(listener.base(), connection);
            connection.send("served");
            connection.close();
            left -= 1;
            if left == 0 {
                listener.disable();
            }
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
}

pub fn accept_one_and_disable(ip: IpAddr) {
    accept(1, ip);
}

pub fn three_accepts(ip: IpAddr) {
    accept(3, ip);
}

fn accept(clients: u32, ip: IpAddr) {
    let base = EventBase::new();
    let count = count(clients);
    let builder = Listener::builder().on_connection(count_down(&count));
    let listener = builder.bind(&base, (ip, 0)).expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
    say("left", count.get());
}

/// Made without a callback: nothing is accepted before there is one.
pub fn armed_by_set_callback(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    wait_for_test();
    say("state", format_args!("{:?}", listener.state()));
    say("ended", format_args!("{:?}", base.dispatch()));
    let count = count(1);
    listener.set_callback(Some(count_down(&count)));
    say("ended", format_args!("{:?}", base.dispatch()));
    say("left", count.get());
}
