//! The log budget: a flood of lines by one client is left out, and what happens to others is logged.

use super::start;
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect, rest};
use crate::support::process::Evconn;
use crate::support::{DEADLINE, is_reset};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

const WORKERS: usize = 2;

/// What all connections may log per second, and how much at once: see `Limits::log_budget`.
const PER_SECOND: usize = 64 << 10;
const AT_ONCE: usize = 2 * PER_SECOND;

/// For the fields of lines that are not counted exactly, and the lines of the server itself.
const SLACK: usize = 64 << 10;

/// The address of the client that floods.
const FLOODER: [u8; 4] = [127, 0, 0, 2];

/// A connection from another address of the loopback network. It may be reset before it is known to be there.
fn connect_from(ip: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddrV4::new(Ipv4Addr::from(ip), 0);
    socket.bind(&SocketAddr::from(from).into()).expect("bound");
    socket.connect_timeout(&to.into(), DEADLINE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Has the flooder connect so many times, each time with this command.
fn flood(address: SocketAddr, connections: usize, command: &str) {
    for _ in 0..connections {
        let visit = || {
            let mut stream = connect_from(FLOODER, address)?;
            stream.write_all(command.as_bytes())?;
            rest(&mut stream)
        };
        match visit() {
            Ok(_) => {}
            Err(error) if is_reset(&error) => {}
            Err(error) => panic!("{command}: {error}"),
        }
    }
}

/// Another client, whose connection fails with this text.
fn neighbour(address: SocketAddr, text: &str) {
    let mut stream = connect(address);
    writeln!(stream, "error {text}").expect("sent");
    // It is reset.
    let _ = rest(&mut stream);
}

/// Ends it, and returns its log, of which `since` is the beginning.
fn log_of(evconn: Evconn, since: Instant) -> (String, Duration) {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    (ended.stderr, since.elapsed())
}

/// How many lines were left out, as the log says.
fn left_out(log: &str) -> usize {
    let counts = log.lines().filter_map(|line| {
        let (before, _) = line.split_once(" lines were left out")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    counts.sum()
}

#[test]
fn a_flood_by_one_client_is_left_out_whichever_way_it_is_caused() {
    let _open = unchanged();
    let printed = format!("print {}\n", r"\x01".repeat(200));
    let failing = format!("error {}\n", "\u{1}".repeat(900));
    for (connections, command) in [
        (200, "flood 100\n"),
        (1_000, &printed),
        (1_000, &failing),
        (2_000, "recurse\n"),
        (2_000, "connect 127.0.0.1:9\n"),
    ] {
        let since = Instant::now();
        let evconn = start(WORKERS, &[]);
        let address = evconn.address();
        flood(address, connections, command);
        neighbour(address, "the neighbour has failed");
        flood(address, connections / 10, command);
        let (log, time) = log_of(evconn, since);
        assert!(log.contains("the neighbour has failed"), "{command}");
        // Rounded up, so that a slow machine may log more.
        let most = AT_ONCE + SLACK + PER_SECOND * (time.as_secs() as usize + 1);
        assert!(
            log.len() < most,
            "{command}: {} bytes in {time:?}",
            log.len()
        );
        let logged = log
            .lines()
            .filter(|line| line.contains("127.0.0.2"))
            .count();
        assert!(
            logged > 0 && left_out(&log) > 0,
            "{command}: {logged} lines"
        );
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let _open = unchanged();
    let since = Instant::now();
    let evconn = start(WORKERS, &["--log-budget", "10K"]);
    let address = evconn.address();
    flood(address, 500, "error it fails\n");
    let (log, _) = log_of(evconn, since);
    let logged = log.lines().filter(|line| line.contains("it fails")).count();
    assert_eq!(logged + left_out(&log), 500, "{log}");
    assert!(log.contains("of them about the peer 127.0.0.2"), "{log}");
    assert!(log.contains("--log-budget"), "{log}");
}

#[test]
fn without_a_budget_nothing_is_left_out() {
    let _open = unchanged();
    let since = Instant::now();
    let evconn = start(WORKERS, &["--log-budget", "none"]);
    flood(evconn.address(), 500, "error it fails\n");
    let (log, _) = log_of(evconn, since);
    let logged = log.lines().filter(|line| line.contains("it fails")).count();
    assert_eq!((logged, left_out(&log)), (500, 0), "{log}");
}

/// How many refused connections the log tells of: in lines, and in their counts.
fn refused(log: &str) -> (usize, usize) {
    let lines = log
        .lines()
        .filter(|line| line.contains("connection refused"));
    let counts = log.lines().filter_map(|line| {
        let (_, count) = line.split_once("not logged")?;
        let mut digits = count.split(|letter: char| !letter.is_ascii_digit());
        digits.find(|word| !word.is_empty())?.parse::<usize>().ok()
    });
    (lines.count(), counts.sum())
}

#[test]
fn refused_connections_have_a_line_each_second() {
    let _open = unchanged();
    let of_peer = ["--max-connections-per-peer", "1"];
    let proxy = ["--proxy-protocol", "--proxy-from", "127.0.0.2"];
    for (flags, command) in [
        (&["--deny-peer", "127.0.0.2"][..], ""),
        (&of_peer, ""),
        (&proxy, "GET / HTTP/1.0\r\n\r\n"),
    ] {
        let since = Instant::now();
        let evconn = start(WORKERS, flags);
        let address = evconn.address();
        let first = (flags == of_peer).then(|| {
            let mut first = connect_from(FLOODER, address).expect("connected");
            ask(&mut first, "echo\nhello\n", "hello\n");
            first
        });
        flood(address, 300, command);
        drop(first);
        let (log, time) = log_of(evconn, since);
        let (lines, counted) = refused(&log);
        assert_eq!(lines + counted, 300, "{flags:?}: {log}");
        assert!((1..=time.as_secs() as usize + 2).contains(&lines), "{log}");
    }
}
