//! Limits are those of the server, whatever the number of its processes.

use super::crowd::Crowd;
use super::{end, ends_well, goes_on, is_refused, start};
use crate::support::descriptors::unchanged;
use crate::support::peer::{connect, echoing, rest};
use crate::support::workers::workers;
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn no_more_connections_are_open_than_may_be() {
    let _open = unchanged();
    const LIMIT: usize = 6;
    let evconn = start(3, &["--max-connections", &LIMIT.to_string()]);
    let mut crowd = Crowd::connect(evconn.address(), 4 * LIMIT);
    crowd.is_served(LIMIT);
    while crowd.has_waiting() {
        crowd.end_one();
        crowd.is_served(LIMIT);
    }
    drop(crowd);
    let log = end(evconn);
    assert!(
        log.contains("served 24 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

#[test]
fn one_that_waits_is_served_when_one_of_any_worker_ends() {
    let _open = unchanged();
    // As many that each of the two workers has some.
    let evconn = start(2, &["--max-connections", "6"]);
    let address = evconn.address();
    let mut open: Vec<_> = (0..6).map(|_| echoing(address)).collect();
    for worker in workers(&evconn) {
        let mut crowd = Crowd::connect(address, 1);
        crowd.is_served(0);
        let mut its = open.iter();
        let its = its.position(|peer| worker.serves(peer));
        drop(open.remove(its.expect("an idle worker takes before a busy one")));
        crowd.is_served(1);
        open.iter_mut().for_each(goes_on);
        open.append(&mut crowd.served);
    }
    drop(open);
    end(evconn);
}

#[test]
fn a_peer_has_no_more_connections_than_it_may() {
    let _open = unchanged();
    let evconn = start(3, &["--max-connections-per-peer", "4"]);
    let address = evconn.address();
    let mut open: Vec<_> = (0..4).map(|_| echoing(address)).collect();
    is_refused(|| TcpStream::connect(address));
    let mut other = from_another_address(address).expect("connected");
    other.write_all(b"echo\n").expect("sent");
    goes_on(&mut other);
    open.iter_mut().for_each(goes_on);
    drop((open, other));
    let log = end(evconn);
    assert!(log.contains("has 4 connections already"), "{log}");
    assert!(log.contains("of which 1 were refused"), "{log}");
}

/// By default, a peer with a public address has at most half of the connections. One on a loopback address, such as a
/// proxy, may have all.
#[test]
fn a_stranger_has_at_most_half_of_the_connections() {
    let _open = unchanged();
    let proxied = ["--proxy-protocol", "--proxy-from", "127.0.0.1"];
    let few = ["--max-connections", "4"];
    let evconn = start(2, &[&proxied[..], &few].concat());
    let address = evconn.address();
    let from = |peer: &str| {
        let mut connection = connect(address);
        let header = format!("PROXY TCP4 {peer} 127.0.0.1 1234 80\r\necho\n");
        connection.write_all(header.as_bytes()).expect("sent");
        connection
    };
    let mut open = vec![from("8.8.8.8"), from("8.8.8.8")];
    open.iter_mut().for_each(goes_on);
    is_refused(|| Ok(from("8.8.8.8")));
    open.push(from("8.8.4.4"));
    open.iter_mut().for_each(goes_on);
    drop(open);
    let mut open: Vec<_> = (0..4).map(|_| from("127.0.0.1")).collect();
    open.iter_mut().for_each(goes_on);
    drop(open);
    let log = end(evconn);
    assert!(log.contains("has 2 connections already"), "{log}");
}

fn from_another_address(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let from: SocketAddr = "127.0.0.2:0".parse().expect("an address");
    socket.bind(&from.into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// A token bucket that starts full.
#[test]
fn no_more_are_accepted_than_the_rate_and_a_burst() {
    let _open = unchanged();
    const RATE: usize = 50;
    const PEERS: usize = 120;
    let evconn = start(3, &["--accept-rate", &RATE.to_string()]);
    let address = evconn.address();
    let begun = Instant::now();
    let mut crowd = Crowd::connect(address, PEERS);
    crowd.is_served(PEERS);
    let (taken, least) = (begun.elapsed(), (PEERS - RATE) as f64 / RATE as f64);
    // A twentieth less: the clocks of the test and of the server begin at different moments.
    assert!(taken.as_secs_f64() > least * 0.95, "{taken:?} is too soon");
    drop(crowd);
    end(evconn);
}

#[test]
fn a_server_is_not_idle_while_one_of_its_workers_is_busy() {
    let _open = unchanged();
    let mut evconn = start(3, &["--shutdown-after-idle", "0.3"]);
    let mut peer = echoing(evconn.address());
    // For much longer than that.
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        goes_on(&mut peer);
    }
    assert!(evconn.is_running());
    drop(peer);
    let log = ends_well(evconn);
    assert!(log.contains("served 1 connection,"), "{log}");
}

/// An outcome is counted wherever it was, and once.
#[test]
fn the_summary_is_that_of_all_workers() {
    let _open = unchanged();
    let evconn = start(3, &["--deny-peer", "127.0.0.2"]);
    let address = evconn.address();
    for _ in 0..5 {
        let peers: Vec<_> = (0..3).map(|_| echoing(address)).collect();
        let mut failing = connect(address);
        failing.write_all(b"trap\n").expect("sent");
        rest(&mut failing).expect_err("a reset");
        is_refused(|| from_another_address(address));
        drop(peers);
    }
    let log = end(evconn);
    let said = "served 25 connections, of which 5 were refused, 5 failed,";
    assert!(log.contains(said), "{log}");
}
