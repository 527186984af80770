//! Connections that share an instance.

use super::{acting, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::peer::{ask, connect, reset, rest};
use crate::support::process::Evconn;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};

/// Serves in one instance, up to this many connections at a time.
fn one_instance(concurrency: &str, flags: &[&str]) -> Evconn {
    let policy = ["--instances", "1", "--concurrency", concurrency];
    acting(&["serve"], &[&policy[..], flags].concat()).expect("a program")
}

fn hear(peer: &TcpStream) -> String {
    let mut line = String::new();
    let read = BufReader::with_capacity(1, peer).read_line(&mut line);
    read.expect("a line");
    line
}

#[test]
fn what_one_says_is_heard_by_all() {
    let _open = unchanged();
    for processes in ["0", "2"] {
        let evconn = one_instance("10", &["--processes", processes]);
        let address = evconn.address();
        let mut peers: Vec<_> = (1..=3)
            .map(|number| {
                let mut peer = connect(address);
                ask(&mut peer, "served\n", &format!("{number}\n"));
                peer
            })
            .collect();
        peers[1].write_all(b"tell hello\n").expect("sent");
        for peer in &peers {
            assert_eq!(hear(peer), "hello\n");
        }
        for peer in &mut peers {
            peer.shutdown(Shutdown::Write).expect("ended");
            assert_eq!(rest(peer).expect("a regular end"), "");
        }
        drop(peers);
        let log = end(evconn);
        assert!(log.contains("of which 0 were refused, 0 failed"), "{log}");
    }
}

#[test]
fn a_panic_ends_all_connections_of_the_instance() {
    let _open = unchanged();
    let evconn = one_instance("10", &[]);
    let address = evconn.address();
    let mut other = connect(address);
    ask(&mut other, "served\n", "1\n");
    lines(address, "panic\n").expect_err("a reset");
    rest(&mut other).expect_err("a reset");
    let answers = lines(address, "served\n");
    assert_eq!(answers.expect("another instance"), ["1"]);
    end(evconn);
}

/// Its tasks that sleep for ever have connections that are gone.
#[test]
fn an_instance_that_is_full_of_connections_that_are_gone_is_replaced() {
    let _open = unchanged();
    let evconn = one_instance("2", &["--processes", "1"]);
    let address = evconn.address();
    for number in ["1\n", "2\n"] {
        let mut peer = connect(address);
        ask(&mut peer, "served\n", number);
        peer.write_all(b"sleep\n").expect("sent");
        reset(peer);
    }
    let answers = lines(address, "served\n");
    assert_eq!(answers.expect("another instance"), ["1"]);
    let log = end(evconn);
    let said = "has not let go of the connections that it had";
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

/// It lets go of a connection that is gone.
#[test]
fn an_instance_whose_peers_are_gone_serves_others() {
    let _open = unchanged();
    let evconn = one_instance("2", &["--processes", "1"]);
    let address = evconn.address();
    for number in 1..=6 {
        let mut peer = connect(address);
        ask(&mut peer, "served\n", &format!("{number}\n"));
        reset(peer);
    }
    let answers = lines(address, "served\n");
    assert_eq!(answers.expect("the same instance"), ["7"]);
    end(evconn);
}
