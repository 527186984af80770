//! Connections without a buffer.

use crate::report::{say, say_address, wait_for_test};
use evconn_guest::{Connection, Direction, EventBase, Listener};
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

/// One peer, whose connection goes to `then`.
fn one_peer(ip: IpAddr, mut then: impl FnMut(Connection) + 'static) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(move |listener, connection| {
            listener.disable();
            then(connection);
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    say_address(&listener);
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// It never waits, in either direction.
pub fn would_block(ip: IpAddr) {
    one_peer(ip, |mut connection| {
        let error = connection.read(&mut [0; 10]).expect_err("nothing is there");
        say("read", format_args!("{:?}", error.kind()));
        let error = loop {
            match connection.write(&[b'x'; 1 << 16]) {
                Ok(count) => assert!(count > 0),
                Err(error) => break error,
            }
        };
        say("write", format_args!("{:?}", error.kind()));
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

/// Everything that the peer sends, and then an answer.
pub fn blocking(ip: IpAddr) {
    one_peer(ip, |mut connection| {
        connection.set_nonblocking(false);
        let mut text = Vec::new();
        connection.read_to_end(&mut text).expect("read");
        say("read", text.len());
        connection.write_all(&text).expect("written");
        connection.flush().expect("flushed");
        connection.shutdown(Direction::Write).expect("shut down");
    });
}

/// It connects to its own listener, and to nobody.
pub fn outgoing(ip: IpAddr) {
    let base = EventBase::new();
    let listener = Listener::builder()
        .on_connection(|listener, mut connection| {
            listener.disable();
            connection.set_nonblocking(false);
            connection.write_all(b"hello").expect("written");
        })
        .bind(&base, (ip, 0))
        .expect("a listener");
    let address = listener.local_addresses().expect("it is open")[0];
    Connection::connect(&base, address, move |base, connected| {
        let connection = connected.expect("connected");
        assert_eq!(connection.peer_addr(), address);
        let own = connection.local_addr().expect("an address");
        assert_eq!(own.ip(), address.ip());
        read_later(base, connection);
    })
    .expect("begun");
    say("ended", format_args!("{:?}", base.dispatch()));

    drop(listener);
    Connection::connect(&base, address, |_, connected| {
        say("refused", connected.expect_err("nobody listens"));
    })
    .expect("begun");
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// Look again and again, and never wait, until there is something.
fn read_later(base: &EventBase, mut connection: Connection) {
    let mut bytes = [0; 5];
    match connection.read(&mut bytes) {
        Ok(count) => say("read", String::from_utf8_lossy(&bytes[..count])),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            let soon = Duration::from_millis(1);
            base.timer(soon, |base| read_later(base, connection));
        }
    }
}

pub fn socket_options(ip: IpAddr) {
    one_peer(ip, |connection| {
        connection.set_keep_alive(true).expect("set");
        assert!(connection.keep_alive().expect("read"));
        let time = Duration::from_secs(60);
        connection.set_keep_alive_idle_time(time).expect("set");
        assert_eq!(connection.keep_alive_idle_time().expect("read"), time);
        connection.set_keep_alive_interval(time).expect("set");
        assert_eq!(connection.keep_alive_interval().expect("read"), time);
        connection.set_keep_alive_count(5).expect("set");
        assert_eq!(connection.keep_alive_count().expect("read"), 5);
        connection.set_hop_limit(42).expect("set");
        assert_eq!(connection.hop_limit().expect("read"), 42);
        connection.set_receive_buffer_size(1 << 16).expect("set");
        assert!(connection.receive_buffer_size().expect("read") > 0);
        connection.set_send_buffer_size(1 << 16).expect("set");
        assert!(connection.send_buffer_size().expect("read") > 0);
        let error = connection.set_hop_limit(0).expect_err("none");
        say("no hops", error);
    });
}

/// The loop sends the rest, and the callback waits for nothing.
pub fn dropped_with_output(ip: IpAddr) {
    one_peer(ip, |mut connection| {
        let mut count = 0;
        while let Ok(written) = connection.write(&[b'x'; 1 << 16]) {
            count += written;
        }
        say("written", count);
        drop(connection);
        wait_for_test();
    });
}

/// Standard error is where it says why.
pub fn panics(_: IpAddr) {
    panic!("it was told to");
}

/// When its peer has said something, the program ends so, and has not dropped its connection.
fn with_it_open(ip: IpAddr, end: fn()) {
    one_peer(ip, move |mut connection| {
        connection.set_nonblocking(false);
        connection.read_exact(&mut [0]).expect("a byte");
        connection.write_all(b"half of it").expect("written");
        connection.flush().expect("flushed");
        std::mem::forget(connection);
        end();
    });
}

pub fn traps_with_it_open(ip: IpAddr) {
    with_it_open(ip, || std::process::abort());
}

pub fn fails_with_it_open(ip: IpAddr) {
    with_it_open(ip, || evconn_guest::wasi::cli::exit::exit(Err(())));
}

pub fn succeeds_with_it_open(ip: IpAddr) {
    with_it_open(ip, || evconn_guest::wasi::cli::exit::exit(Ok(())));
}
