//! Connections that cannot be closed without waiting.

use crate::report::{say, say_address};
use evconn_guest::{BufferedConnection, Direction, EventBase, Listener, State};
use std::net::IpAddr;
use std::time::Duration;

/// The line `flood` gets more than the kernel takes, and a close. `end` ends the loop. All other lines
/// are answered.
fn listen(base: &EventBase, ip: IpAddr) -> Listener {
    let listener = Listener::builder()
        .on_connection(|listener, connection| {
            let base = listener.base().clone();
            let connection = BufferedConnection::new(&base, connection);
            connection.on_read(move |connection: &BufferedConnection| {
                while let Some(line) = connection.take_line() {
                    match &*line {
                        b"flood\n" => {
                            connection.send(vec![b'x'; 32 << 20]);
                            connection.close();
                            say("closing", base.closing());
                        }
                        b"end\n" => base.loop_exit(Duration::ZERO),
                        _ => connection.send(line),
                    }
                }
            });
            connection.enable(Direction::Read);
        })
        .bind(base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    listener
}

/// They disturb nobody, not even when the loop ends and the base goes.
pub fn peers_that_never_read(ip: IpAddr) {
    let base = EventBase::new();
    let listener = listen(&base, ip);
    say("ended", format_args!("{:?}", base.dispatch()));
    say("left", base.closing());
    drop(listener);
    drop(base);
    say("base", "dropped");
}

/// One that has taken nothing for a while is sent no more. Where the host lets it go, it goes.
pub fn given_up(ip: IpAddr) {
    const LINGER: Duration = Duration::from_millis(20);
    let base = EventBase::new();
    base.set_linger(Some(LINGER));
    let _listener = listen(&base, ip);
    let mut before = 0;
    base.interval(Duration::from_millis(1), move |base| {
        let now = base.closing();
        match (before, now) {
            (0, 1) => drop(base.timer(LINGER * 10, |_| say("waited", "long enough"))),
            (1, 0) => say("closing", now),
            _ => {}
        }
        before = now;
    });
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// With as many as may be, the listener waits until one of them is gone.
pub fn full(ip: IpAddr) {
    let base = EventBase::new();
    base.set_max_closing(2);
    let listener = listen(&base, ip);
    let mut was_full = false;
    base.interval(Duration::from_millis(1), move |_| {
        let is_full = listener.state() == State::Full;
        if is_full != was_full {
            say("full", is_full);
        }
        was_full = is_full;
    });
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// The answer to an upload comes before its end, and is all that the peer gets.
fn answer_uploads(linger: Option<Duration>, ip: IpAddr) {
    let base = EventBase::new();
    base.set_linger(linger);
    let listener = Listener::builder()
        .on_connection(|listener, connection| {
            listener.disable();
            let connection = BufferedConnection::new(listener.base(), connection);
            connection.on_read(|connection: &BufferedConnection| {
                connection.send(vec![b'x'; 3 << 20]);
                connection.close();
            });
            connection.enable(Direction::Read);
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// A peer that reads when it has sent all gets all of it.
pub fn refused_upload(ip: IpAddr) {
    answer_uploads(None, ip);
}

/// A peer that does not stop is given up.
pub fn endless_upload(ip: IpAddr) {
    answer_uploads(Some(Duration::from_millis(20)), ip);
}
