//! What peers do.

use super::{HOSTILE, Site, reset};
use crate::support::peer::{connect, rest};
use std::io::Write;
use std::net::TcpStream;

/// How many of each kind.
const PEERS: usize = 20;

/// Beside peers that do this, a polite one is served.
fn beside(flags: &[&str], hostile: impl Fn(&mut TcpStream)) {
    let site = Site::start(HOSTILE, flags);
    let mut peers: Vec<_> = (0..PEERS).map(|_| connect(site.address)).collect();
    peers.iter_mut().for_each(hostile);
    site.is_polite();
    peers.into_iter().for_each(reset);
    site.end();
}

#[test]
fn peers_that_say_nothing() {
    beside(&[], |_| {});
}

#[test]
fn peers_that_never_finish_their_line() {
    beside(&[], |peer| peer.write_all(b"ech").expect("sent"));
}

#[test]
fn peers_that_never_read() {
    beside(&[], |peer| peer.write_all(b"calls write\n").expect("sent"));
}

#[test]
fn peers_that_send_more_than_is_read() {
    beside(&[], |peer| {
        peer.write_all(b"sleep\n").expect("sent");
        peer.set_nonblocking(true).expect("set");
        // As much as fits.
        while peer.write(&[b'x'; 1 << 16]).is_ok() {}
    });
}

#[test]
fn peers_that_come_only_to_reset() {
    let site = Site::start(HOSTILE, &[]);
    for _ in 0..2 * PEERS {
        reset(connect(site.address));
        let mut peer = connect(site.address);
        peer.write_all(b"spin\n").expect("sent");
        reset(peer);
    }
    site.is_polite();
    site.end();
}

/// Whoever announces itself is served, whatever the others do.
#[test]
fn peers_that_never_finish_their_proxy_header() {
    let site = Site::start(HOSTILE, &["--proxy-protocol", "--proxy-from", "127.0.0.1"]);
    let mut peers: Vec<_> = (0..PEERS).map(|_| connect(site.address)).collect();
    for peer in &mut peers {
        peer.write_all(b"PROXY TCP4 192.0.2.1 ").expect("sent");
    }
    let mut polite = connect(site.address);
    let announced = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nfail 1\n";
    polite.write_all(announced).expect("sent");
    rest(&mut polite).expect_err("a reset");
    site.evconn.logged("the service gave up: \"x\"");
    peers.into_iter().for_each(reset);
    site.end();
}
