//! The accounts of connections and peers, in the log of a server.

use super::{HOSTILE, reset};
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{ask, connect};
use crate::support::process::Evconn;
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server that logs the account of each connection.
fn start(processes: &str) -> Evconn {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evconn"));
    command
        .args(["serve", HOSTILE, "--listen", "127.0.0.1:0"])
        .args(["--processes", processes, "--grace", "0"])
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null());
    Evconn::start_by(&mut command)
}

/// Connects from 127.0.0.`host`.
fn connect_from(host: u8, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    socket.bind(&source.into()).expect("bound");
    socket.connect(&address.into()).expect("connected");
    socket.into()
}

/// Serves one line, and returns how often that connection went to the background.
fn moves_of_new(host: u8, evconn: &Evconn, address: SocketAddr) -> u32 {
    let mut peer = connect_from(host, address);
    let name = peer.local_addr().expect("an address");
    ask(&mut peer, "echo\n", "ok\n");
    drop(peer);
    moves_of(name, evconn)
}

/// Returns how often the connection of a peer, which has ended, went to the background.
fn moves_of(peer: SocketAddr, evconn: &Evconn) -> u32 {
    let name = format!("peer={peer}");
    let accepted = evconn.logged(&name);
    let line = accepted
        .lines()
        .find(|line| line.contains("connection accepted") && line.contains(&name));
    let number = field(line.expect("it is logged"), "number=");
    let begin = format!("connection accounted for number={number} ");
    let log = evconn.logged(&begin);
    let line = log.lines().find(|line| line.contains(&begin));
    let line = line.expect("it is logged");
    assert!(line.contains(" cpu_time="), "{line}");
    let moves = field(line, "moved_to_background=");
    moves.parse().expect("a number")
}

fn field(line: &str, name: &str) -> String {
    let (_, rest) = line.split_once(name).expect("the field");
    rest.split(' ').next().unwrap_or(rest).to_owned()
}

#[test]
fn who_computes_goes_to_the_background() {
    let _open = unchanged();
    // One process: whom the spinner is compared with is in the same one.
    let evconn = start("1");
    let address = evconn.address();
    let mut polite = connect(address);
    ask(&mut polite, "echo\n", "ok\n");
    eventually("a spinner goes to the background", || {
        let mut spinner = connect_from(2, address);
        let name = spinner.local_addr().expect("an address");
        ask(&mut spinner, "spin\n", "ok\n");
        for _ in 0..3 {
            // It uses less than its share.
            std::thread::sleep(Duration::from_millis(30));
            ask(&mut polite, "hello\n", "hello\n");
        }
        reset(spinner);
        (moves_of(name, &evconn) > 0).then_some(())
    });
    drop(polite);
    evconn.signal(Signal::TERM);
    evconn.wait();
}

#[test]
fn new_connections_of_who_computes_begin_in_the_background() {
    let _open = unchanged();
    let evconn = start("2");
    let address = evconn.address();
    // Some on each worker.
    let mut polite: Vec<_> = (0..4).map(|_| connect(address)).collect();
    for polite in &mut polite {
        ask(polite, "echo\n", "ok\n");
    }
    let mut spinner = connect_from(2, address);
    ask(&mut spinner, "spin\n", "ok\n");
    eventually(
        "a new connection of its peer begins in the background",
        || {
            // They use less than their shares.
            std::thread::sleep(Duration::from_millis(30));
            for polite in &mut polite {
                ask(polite, "hello\n", "hello\n");
            }
            (moves_of_new(2, &evconn, address) > 0).then_some(())
        },
    );
    assert_eq!(moves_of_new(3, &evconn, address), 0, "another peer");
    reset(spinner);
    drop(polite);
    evconn.signal(Signal::TERM);
    evconn.wait();
}

#[test]
fn a_share_that_is_none_is_a_mistake_of_usage() {
    for share in ["0", "1.4", "51", "-5", "5%", "all"] {
        let ended = Evconn::run(&["serve", HOSTILE, "--cpu-share", share]);
        assert_eq!(ended.status.code(), Some(2), "{share}");
        let expected = "expected a percentage from 1.5 to 50, such as 5";
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}
