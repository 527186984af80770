//! The options of a socket: the backlog is in `listen.rs`.

use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::bindings::wasi::sockets::tcp::TcpSocket;
use crate::net::{Run, accept, local};
use crate::report::{line, outcome, same, yes};

crate::cases!(
    defaults,
    zero,
    read_back,
    shortest,
    largest,
    inherited,
    set_while_listening,
    not_shared
);

/// An option, with its value as a number.
pub struct Option {
    name: &'static str,
    pub get: fn(&TcpSocket) -> Result<u64, ErrorCode>,
    pub set: fn(&TcpSocket, u64) -> Result<(), ErrorCode>,
    /// A value that is not the default.
    other: u64,
}

const SECOND: u64 = 1_000_000_000;

pub const OPTIONS: [Option; 7] = [
    Option {
        name: "keep-alive-enabled",
        get: |socket| socket.keep_alive_enabled().map(u64::from),
        set: |socket, value| socket.set_keep_alive_enabled(value != 0),
        other: 1,
    },
    Option {
        name: "keep-alive-idle-time",
        get: TcpSocket::keep_alive_idle_time,
        set: TcpSocket::set_keep_alive_idle_time,
        other: 77 * SECOND,
    },
    Option {
        name: "keep-alive-interval",
        get: TcpSocket::keep_alive_interval,
        set: TcpSocket::set_keep_alive_interval,
        other: 11 * SECOND,
    },
    Option {
        name: "keep-alive-count",
        get: |socket| socket.keep_alive_count().map(u64::from),
        set: |socket, value| socket.set_keep_alive_count(value.try_into().unwrap_or(u32::MAX)),
        other: 4,
    },
    Option {
        name: "hop-limit",
        get: |socket| socket.hop_limit().map(u64::from),
        set: |socket, value| socket.set_hop_limit(value.try_into().unwrap_or(u8::MAX)),
        other: 42,
    },
    Option {
        name: "receive-buffer-size",
        get: TcpSocket::receive_buffer_size,
        set: TcpSocket::set_receive_buffer_size,
        other: 96 << 10,
    },
    Option {
        name: "send-buffer-size",
        get: TcpSocket::send_buffer_size,
        set: TcpSocket::set_send_buffer_size,
        other: 80 << 10,
    },
];

impl Option {
    fn of(&self, socket: &TcpSocket) -> u64 {
        (self.get)(socket).expect("a value")
    }
}

fn set_others(socket: &TcpSocket) {
    for option in OPTIONS {
        (option.set)(socket, option.other).expect("set");
    }
}

fn defaults(run: &Run) {
    let socket = run.socket();
    for option in OPTIONS {
        line(option.name, option.of(&socket));
    }
}

/// It is refused, and changes nothing.
fn zero(run: &Run) {
    let socket = run.socket();
    set_others(&socket);
    for option in OPTIONS.iter().skip(1) {
        let refused = (option.set)(&socket, 0);
        let then = same(option.of(&socket) == option.other);
        line(option.name, format!("{}, {then}", outcome(&refused)));
    }
}

/// In every state that has options, in the same socket.
fn read_back(run: &Run) {
    let socket = run.socket();
    set_others(&socket);
    let unchanged = |socket| {
        OPTIONS
            .iter()
            .all(|option| option.of(socket) == option.other)
    };
    line("unbound", yes(unchanged(&socket)));
    crate::net::bind(&socket, run.any_port()).expect("bound");
    line("bound", yes(unchanged(&socket)));
    crate::net::listen(&socket).expect("it listens");
    line("listening", yes(unchanged(&socket)));
    let client = run.socket();
    set_others(&client);
    let streams = crate::net::connect(&client, local(&socket)).expect("connected");
    line("connected", yes(unchanged(&client)));
    (OPTIONS[0].set)(&client, 0).expect("set");
    line("keep-alive-enabled off again", OPTIONS[0].of(&client));
    drop(streams);
}

/// What is too small for the kernel is rounded up.
fn shortest(run: &Run) {
    set_and_read(run, 1);
}

fn largest(run: &Run) {
    set_and_read(run, u64::MAX);
}

/// Whatever is made of such a value, it is no error and not 0.
fn set_and_read(run: &Run, value: u64) {
    let socket = run.socket();
    for option in OPTIONS.iter().skip(1) {
        let set = (option.set)(&socket, value);
        let outcomes = [outcome(&set), yes(option.of(&socket) > 0)];
        line(option.name, outcomes.join(", "));
    }
}

fn inherited(run: &Run) {
    let socket = run.bound();
    set_others(&socket);
    crate::net::listen(&socket).expect("it listens");
    accepts_with_them(run, &socket);
}

/// Those that connect from now on have them.
fn set_while_listening(run: &Run) {
    let listener = run.listening();
    let _client = run.connected(local(&listener));
    accept(&listener).expect("accepted");
    set_others(&listener);
    accepts_with_them(run, &listener);
}

fn accepts_with_them(run: &Run, listener: &TcpSocket) {
    let _client = run.connected(local(listener));
    let server = accept(listener).expect("accepted");
    for option in OPTIONS {
        let inherited = option.of(&server.socket) == option.other;
        line(option.name, yes(inherited));
    }
    let family = server.socket.address_family();
    line("address-family", yes(family == listener.address_family()));
}

/// What is set on the one that was accepted is not the listener's.
fn not_shared(run: &Run) {
    let listener = run.listening();
    let before: Vec<_> = OPTIONS.iter().map(|option| option.of(&listener)).collect();
    let _client = run.connected(local(&listener));
    let server = accept(&listener).expect("accepted");
    set_others(&server.socket);
    let after: Vec<_> = OPTIONS.iter().map(|option| option.of(&listener)).collect();
    line("the listener's", same(before == after));
}
