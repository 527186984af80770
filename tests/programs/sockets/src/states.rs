//! Every function in every state of TcpSocketOperationalSemantics.md.
//!
//! Each is called on a socket of its own, which was led into the state. Then it is probed for the
//! state that it has now.

use crate::bindings::wasi::sockets::tcp::{ShutdownType, TcpSocket};
use crate::net::start_connect;
use crate::net::{Connection, Run, bind, connect, finish_connect, listen, local, start_bind};
use crate::options::OPTIONS;
use crate::report::{line, outcome};
use std::net::SocketAddr;

crate::cases!(
    unbound,
    bind_in_progress,
    bound,
    listen_in_progress,
    listening,
    connect_in_progress,
    bound_connect_in_progress,
    resolved_connect_in_progress,
    failed_connect_in_progress,
    denied_connect_in_progress,
    unbound_after_start_connect,
    bound_after_start_connect,
    connected,
    accepted,
    closed,
    closed_by_denial,
    closed_by_listen
);

/// A socket in some state. The fields are in the order in which they have to be dropped.
struct Subject<'a> {
    run: &'a Run,
    /// It has streams once it is connected.
    streams: Vec<Connection>,
    connection: Option<Connection>,
    socket: Option<TcpSocket>,
    /// A listening socket to connect to.
    live: TcpSocket,
}

impl Subject<'_> {
    fn socket(&self) -> &TcpSocket {
        let connected = self.connection.as_ref().map(|c| &c.socket);
        self.socket.as_ref().or(connected).expect("either of them")
    }
}

type Call = fn(&mut Subject<'_>) -> &'static str;

const CALLS: [(&str, Call); 18] = [
    ("start-bind", |subject| {
        outcome(&start_bind(subject.socket(), subject.run.any_port()))
    }),
    ("finish-bind", |subject| {
        outcome(&subject.socket().finish_bind())
    }),
    ("start-connect", |subject| {
        outcome(&start_connect(subject.socket(), local(&subject.live)))
    }),
    ("finish-connect", |subject| {
        outcome(&finish_connect(subject.socket()))
    }),
    ("start-listen", |subject| {
        outcome(&subject.socket().start_listen())
    }),
    ("finish-listen", |subject| {
        outcome(&subject.socket().finish_listen())
    }),
    ("accept", |subject| outcome(&subject.socket().accept())),
    ("local-address", |subject| {
        outcome(&subject.socket().local_address())
    }),
    ("remote-address", |subject| {
        outcome(&subject.socket().remote_address())
    }),
    ("is-listening", |subject| {
        crate::report::yes(subject.socket().is_listening())
    }),
    ("address-family", |subject| {
        crate::report::same(subject.socket().address_family() == subject.run.family())
    }),
    ("set-listen-backlog-size", |subject| {
        outcome(&subject.socket().set_listen_backlog_size(16))
    }),
    ("get options", |subject| get_options(subject.socket())),
    ("set options", |subject| set_options(subject.socket())),
    ("subscribe", |subject| ready(subject.socket())),
    ("shutdown receive", |subject| {
        shutdown(subject, ShutdownType::Receive)
    }),
    ("shutdown send", |subject| {
        shutdown(subject, ShutdownType::Send)
    }),
    ("shutdown both", |subject| {
        shutdown(subject, ShutdownType::Both)
    }),
];

fn shutdown(subject: &Subject<'_>, how: ShutdownType) -> &'static str {
    outcome(&subject.socket().shutdown(how))
}

/// All of them, if they agree.
fn get_options(socket: &TcpSocket) -> &'static str {
    agreed(OPTIONS.iter().map(|option| outcome(&(option.get)(socket))))
}

fn set_options(socket: &TcpSocket) -> &'static str {
    agreed(
        OPTIONS
            .iter()
            .map(|option| outcome(&(option.set)(socket, 1))),
    )
}

fn agreed(mut outcomes: impl Iterator<Item = &'static str>) -> &'static str {
    let first = outcomes.next().expect("there are options");
    if outcomes.all(|outcome| outcome == first) {
        first
    } else {
        "they differ"
    }
}

/// What is in progress is waited for: only a listening socket may have nothing to wait for.
fn ready(socket: &TcpSocket) -> &'static str {
    let pollable = socket.subscribe();
    if !socket.is_listening() {
        pollable.block();
    }
    if pollable.ready() {
        "ready"
    } else {
        "not ready"
    }
}

/// In which state it is, found out by what only works there. It is of no use any more after that.
fn probe(subject: &Subject<'_>) -> &'static str {
    let socket = subject.socket();
    let in_progress = |result| result != "not-in-progress";
    if in_progress(outcome(&socket.finish_bind())) {
        "bind-in-progress"
    } else if in_progress(outcome(&socket.finish_listen())) {
        "listen-in-progress"
    } else if in_progress(outcome(&socket.finish_connect())) {
        "connect-in-progress"
    } else if socket.is_listening() {
        "listening"
    } else if socket.remote_address().is_ok() {
        "connected"
    } else if socket.local_address().is_ok() {
        "bound"
    } else if start_bind(socket, subject.run.any_port()).is_ok() {
        "unbound"
    } else {
        "closed"
    }
}

/// Each call on a socket of its own, and what it leads to.
fn each_call(run: &Run, lead: impl Fn(&Run, SocketAddr) -> TcpSocket) {
    for (name, call) in CALLS {
        let live = run.listening();
        let mut subject = Subject {
            run,
            streams: vec![],
            connection: None,
            socket: Some(lead(run, local(&live))),
            live,
        };
        report(name, call, &mut subject);
    }
}

/// The same for a socket that has streams.
fn each_call_connected(run: &Run, server: bool) {
    for (name, call) in CALLS {
        let (one, other) = run.pair();
        let (connection, peer) = if server { (other, one) } else { (one, other) };
        let mut subject = Subject {
            run,
            streams: vec![peer],
            connection: Some(connection),
            socket: None,
            live: run.listening(),
        };
        report(name, call, &mut subject);
    }
}

fn report(name: &str, call: Call, subject: &mut Subject<'_>) {
    let came_of_it = call(subject);
    line(name, format!("{came_of_it}, {}", probe(subject)));
    subject.streams.clear();
}

fn unbound(run: &Run) {
    each_call(run, |run, _| run.socket());
}

fn bind_in_progress(run: &Run) {
    each_call(run, |run, _| {
        let socket = run.socket();
        start_bind(&socket, run.any_port()).expect("bind started");
        socket
    });
}

fn bound(run: &Run) {
    each_call(run, |run, _| run.bound());
}

fn listen_in_progress(run: &Run) {
    each_call(run, |run, _| {
        let socket = run.bound();
        socket.start_listen().expect("listen started");
        socket
    });
}

fn listening(run: &Run) {
    each_call(run, |run, _| run.listening());
}

fn connect_in_progress(run: &Run) {
    each_call(run, |run, live| started(run.socket(), live));
}

fn bound_connect_in_progress(run: &Run) {
    each_call(run, |run, live| started(run.bound(), live));
}

/// All but connected: that is for `finish-connect` to say.
fn resolved_connect_in_progress(run: &Run) {
    each_call(run, |run, live| {
        let socket = started(run.socket(), live);
        socket.subscribe().block();
        socket
    });
}

/// All but refused: nobody listens there.
fn failed_connect_in_progress(run: &Run) {
    each_call(run, |run, _| {
        let socket = started(run.socket(), run.deserted());
        socket.subscribe().block();
        socket
    });
}

/// All but denied: port 1 is not granted.
fn denied_connect_in_progress(run: &Run) {
    each_call(run, |run, _| {
        let socket = started(run.socket(), run.port(1));
        socket.subscribe().block();
        socket
    });
}

/// What is refused for its address has not begun: there is no port 0.
fn unbound_after_start_connect(run: &Run) {
    each_call(run, |run, _| refused(run, run.socket()));
}

fn bound_after_start_connect(run: &Run) {
    each_call(run, |run, _| refused(run, run.bound()));
}

fn refused(run: &Run, socket: TcpSocket) -> TcpSocket {
    start_connect(&socket, run.any_port()).expect_err("port 0");
    socket
}

fn started(socket: TcpSocket, live: SocketAddr) -> TcpSocket {
    start_connect(&socket, live).expect("connect started");
    socket
}

fn connected(run: &Run) {
    each_call_connected(run, false);
}

fn accepted(run: &Run) {
    each_call_connected(run, true);
}

fn closed(run: &Run) {
    each_call(run, |run, _| {
        let socket = run.socket();
        connect(&socket, run.deserted()).expect_err("nobody listens");
        socket
    });
}

/// Port 1 is not granted.
fn closed_by_denial(run: &Run) {
    each_call(run, |run, _| {
        let socket = run.socket();
        connect(&socket, run.port(1)).expect_err("it is denied");
        socket
    });
}

/// By a listen that fails: somebody else listens on its port.
fn closed_by_listen(run: &Run) {
    each_call(run, |run, _| {
        let (first, second) = (run.bound(), run.socket());
        bind(&second, local(&first)).expect("bound");
        listen(&first).expect("it listens");
        listen(&second).expect_err("the port is taken");
        second
    });
}
