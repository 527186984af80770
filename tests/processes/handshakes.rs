//! TLS handshakes under way in several workers: those of one address that are never completed keep nobody out.

use super::{end, start};
use crate::support::certificate::Certificate;
use crate::support::descriptors::unchanged;
use crate::support::peer::{connect, rest};
use crate::support::process::Evconn;
use std::io::{Read, Write};
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

#[test]
fn a_peer_may_have_as_many_as_a_flag_says() {
    let _open = unchanged();
    let certificate = Certificate::new();
    let evconn = patient(&certificate, &["--max-handshakes-per-peer", "2"]);
    let address = evconn.address();
    let mut silent: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    // Each of the workers has one.
    for peer in &mut silent[..10] {
        rest(peer).expect_err("a reset");
    }
    is_dealt_with(address);
    drop(silent);
    let log = end(evconn);
    assert!(
        log.contains("has begun another handshake, and may have 1 under way in a process"),
        "{log}"
    );
}
