//! TLS handshakes under way in several workers: those of one address that are never completed keep nobody out.

use super::{end, start};
use crate::support::certificate::Certificate;
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{connect, rest};
use crate::support::process::Evconn;
use crate::support::workers::wait_for_workers;
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A server whose handshakes may take longer than any test lasts.
fn patient(certificate: &Certificate, flags: &[&str]) -> Evconn {
    let (cert, key) = (certificate.cert(), certificate.key());
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let timeout = ["--tls-handshake-timeout", "3600"];
    start(2, &[&tls[..], &timeout, flags].concat())
}

/// A client that does not speak TLS is told so: its handshake is dealt with.
fn is_dealt_with(address: SocketAddr) {
    let mut client = connect(address);
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    let mut alert = [0; 7];
    client.read_exact(&mut alert).expect("an alert");
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 10]);
}

#[test]
fn handshakes_that_are_never_completed_keep_nobody_out() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = patient(&certificate, &["--max-connections", "40"]);
    let address = evconn.address();
    let mut silent: Vec<TcpStream> = (0..200).map(|_| connect(address)).collect();
    is_dealt_with(address);
    // The oldest ones are reset, which their peers see.
    rest(&mut silent[0]).expect_err("a reset");
    drop(silent);
    let log = end(evconn);
    assert!(
        log.contains("(--max-handshakes-per-peer; in the library"),
        "{log}"
    );
    assert!(log.contains("0 failed"), "{log}");
}

/// Their number is that of all workers together, however they are distributed.
#[test]
fn a_peer_may_have_as_many_as_a_flag_says() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = patient(&certificate, &["--max-handshakes-per-peer", "3"]);
    let address = evconn.address();
    let mut silent: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    eventually("3 are left", || {
        silent.retain(is_open);
        (silent.len() <= 3).then_some(())
    });
    assert_eq!(silent.len(), 3);
    is_dealt_with(address);
    drop(silent);
    let log = end(evconn);
    assert!(
        log.contains("has begun another handshake, and may have 3 under way (--max"),
        "{log}"
    );
}

/// A worker may have them all.
#[test]
fn a_peer_may_have_as_many_as_a_flag_says_in_one_worker() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = patient(&certificate, &["--max-handshakes-per-peer", "3"]);
    let address = evconn.address();
    let stopped = &wait_for_workers(&evconn, 2)[1];
    stopped.stop();
    let mut silent: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
    // Its handshake is the fourth one, and the first one is ended for its sake.
    is_dealt_with(address);
    rest(&mut silent[0]).expect_err("a reset");
    assert!(silent[1..].iter().all(is_open));
    drop(silent);
    stopped.signal(Signal::CONT);
    end(evconn);
}

/// Returns whether the server has not reset a connection.
fn is_open(peer: &TcpStream) -> bool {
    peer.set_nonblocking(true).expect("a mode");
    let error = peer.peek(&mut [0]).expect_err("nothing is sent");
    error.kind() == ErrorKind::WouldBlock
}
