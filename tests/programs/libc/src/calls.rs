//! What can be done with a socket, and what comes of it.

use crate::socket::{Run, Socket};
use libc::c_int;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};

type Call = fn(&Run, &Socket) -> String;

pub const CALLS: &[(&str, Call)] = &[
    ("getsockname", |_, socket| outcome(socket.local_address())),
    ("getpeername", |_, socket| outcome(socket.remote_address())),
    ("bind", |run, socket| outcome(socket.bind(run.any_port()))),
    ("connect", |run, socket| outcome(socket.connect(run.live()))),
    ("connect-invalid", |run, socket| {
        outcome(socket.connect(run.any_port()))
    }),
    ("listen", |_, socket| outcome(socket.listen())),
    ("accept", |_, socket| {
        socket.set_nonblocking();
        outcome(socket.accept())
    }),
    ("shutdown", |_, socket| {
        outcome(socket.stream().shutdown(Shutdown::Both))
    }),
    ("recv", |_, socket| {
        socket.set_nonblocking();
        outcome(socket.stream().read(&mut [0]))
    }),
    ("send", |_, socket| {
        socket.set_nonblocking();
        outcome(socket.stream().write(b"x"))
    }),
    ("SO_ERROR", |_, socket| {
        let error = socket.option(libc::SOL_SOCKET, libc::SO_ERROR);
        error.expect("it never fails").to_string()
    }),
    ("SO_ACCEPTCONN", |_, socket| {
        let listens = socket.option(libc::SOL_SOCKET, libc::SO_ACCEPTCONN);
        listens.expect("it never fails").to_string()
    }),
    ("get SO_KEEPALIVE", |_, socket| get(socket, KEEPALIVE)),
    ("set SO_KEEPALIVE", |_, socket| set(socket, KEEPALIVE)),
    ("get TCP_KEEPIDLE", |_, socket| get(socket, KEEPIDLE)),
    ("set TCP_KEEPIDLE", |_, socket| set(socket, KEEPIDLE)),
    ("get TCP_KEEPINTVL", |_, socket| get(socket, KEEPINTVL)),
    ("set TCP_KEEPINTVL", |_, socket| set(socket, KEEPINTVL)),
    ("get TCP_KEEPCNT", |_, socket| get(socket, KEEPCNT)),
    ("set TCP_KEEPCNT", |_, socket| set(socket, KEEPCNT)),
    ("get hop limit", |run, socket| get(socket, hops(run))),
    ("set hop limit", |run, socket| set(socket, hops(run))),
    ("get SO_RCVBUF", |_, socket| get(socket, RCVBUF)),
    ("set SO_RCVBUF", |_, socket| set(socket, RCVBUF)),
    ("get SO_SNDBUF", |_, socket| get(socket, SNDBUF)),
    ("set SO_SNDBUF", |_, socket| set(socket, SNDBUF)),
];

/// An option's level and its name.
type Opt = (c_int, c_int);

const KEEPALIVE: Opt = (libc::SOL_SOCKET, libc::SO_KEEPALIVE);
const KEEPIDLE: Opt = (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE);
const KEEPINTVL: Opt = (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL);
const KEEPCNT: Opt = (libc::IPPROTO_TCP, libc::TCP_KEEPCNT);
const RCVBUF: Opt = (libc::SOL_SOCKET, libc::SO_RCVBUF);
const SNDBUF: Opt = (libc::SOL_SOCKET, libc::SO_SNDBUF);

fn hops(run: &Run) -> Opt {
    match run.ip {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TTL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    }
}

fn get(socket: &Socket, (level, name): Opt) -> String {
    outcome(socket.option(level, name))
}

fn set(socket: &Socket, (level, name): Opt) -> String {
    outcome(socket.set_option(level, name, 1))
}

/// `ok`, or the error.
fn outcome<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}
