//! The states that wasi-libc leads a socket into.

use crate::socket::{Run, Socket};
use std::io::{Error, ErrorKind};
use std::net::Shutdown;

/// A socket in some state, and what has to stay open for that.
pub struct Subject {
    pub socket: Socket,
    _others: Vec<Socket>,
}

impl From<Socket> for Subject {
    fn from(socket: Socket) -> Self {
        Self {
            socket,
            _others: vec![],
        }
    }
}

type Lead = fn(&Run) -> Subject;

pub const STATES: &[(&str, Lead)] = &[
    ("unbound", |run| run.socket().into()),
    ("bound", |run| run.bound().into()),
    ("bind-failed", bind_failed),
    ("listening", listening),
    ("listen-failed", listen_failed),
    ("connecting", |run| connecting(run, Run::socket)),
    ("bound-connecting", |run| connecting(run, Run::bound)),
    ("connect-invalid", |run| invalid(run, run.socket())),
    ("bound-connect-invalid", |run| invalid(run, run.bound())),
    ("connect-denied", denied),
    ("connect-refused", |run| refused(run, run.socket())),
    ("bound-connect-refused", |run| refused(run, run.bound())),
    ("connect-refused-later", refused_later),
    ("connected", |run| connected(run).into_subject()),
    ("accepted", |run| connected(run).swapped().into_subject()),
    ("peer-gone", peer_gone),
    ("shut-down", shut_down),
];

fn fails(result: Result<(), Error>, kind: ErrorKind) {
    assert_eq!(result.expect_err("it fails").kind(), kind);
}

fn bind_failed(run: &Run) -> Subject {
    let socket = run.socket();
    fails(socket.bind(run.live()), ErrorKind::AddrInUse);
    socket.into()
}

fn listening(run: &Run) -> Subject {
    let socket = run.bound();
    socket.listen().expect("it listens");
    socket.into()
}

/// Somebody else has begun to listen on the port.
fn listen_failed(run: &Run) -> Subject {
    let (first, second) = (run.bound(), run.socket());
    let port = first.local_address().expect("it is bound");
    second.bind(port).expect("bound");
    first.listen().expect("it listens");
    fails(second.listen(), ErrorKind::AddrInUse);
    Subject {
        socket: second,
        _others: vec![first],
    }
}

/// Whether the kernel is done with it or not, wasi-libc does not know yet.
fn connecting(run: &Run, new: fn(&Run) -> Socket) -> Subject {
    loop {
        let socket = new(run);
        socket.set_nonblocking();
        match socket.connect(run.live()) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => return socket.into(),
            result => result.expect("connected, at once"),
        }
    }
}

/// There is no port 0.
fn invalid(run: &Run, socket: Socket) -> Subject {
    fails(socket.connect(run.any_port()), ErrorKind::InvalidInput);
    socket.into()
}

/// Port 1 is not granted.
fn denied(run: &Run) -> Subject {
    let socket = run.socket();
    let mut to = run.any_port();
    to.set_port(1);
    fails(socket.connect(to), ErrorKind::PermissionDenied);
    socket.into()
}

fn refused(run: &Run, socket: Socket) -> Subject {
    fails(socket.connect(run.deserted()), ErrorKind::ConnectionRefused);
    socket.into()
}

/// As `TcpStream::connect_timeout` does it.
fn refused_later(run: &Run) -> Subject {
    let socket = run.socket();
    socket.set_nonblocking();
    match socket.connect(run.deserted()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => socket.wait(),
        result => fails(result, ErrorKind::ConnectionRefused),
    }
    socket.into()
}

/// Who connected, and who was accepted.
struct Pair(Socket, Socket);

impl Pair {
    fn swapped(self) -> Self {
        Self(self.1, self.0)
    }

    fn into_subject(self) -> Subject {
        Subject {
            socket: self.0,
            _others: vec![self.1],
        }
    }
}

fn connected(run: &Run) -> Pair {
    let client = run.socket();
    client.connect(run.live()).expect("connected");
    Pair(client, run.accept())
}

fn peer_gone(run: &Run) -> Subject {
    use std::io::Read;
    let Pair(socket, peer) = connected(run);
    drop(peer);
    let end = socket.stream().read(&mut [0]);
    assert_eq!(end.expect("an end"), 0);
    socket.into()
}

fn shut_down(run: &Run) -> Subject {
    let pair = connected(run);
    let shut_down = pair.0.stream().shutdown(Shutdown::Both);
    shut_down.expect("shut down");
    pair.into_subject()
}
