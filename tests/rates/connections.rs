//! `--accept-rate-per-peer`: a peer that opens more connections than it may is reset, and no other one.

use super::{connect_from, end, start};
use crate::support::descriptors::unchanged;
use crate::support::peer::rest;
use crate::support::{DEADLINE, is_reset};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

/// The peer that opens too many.
const PEER: &str = "127.0.0.1";

/// Opens a connection and closes it. Returns whether it was served.
fn is_served(from: &str, address: SocketAddr, first: &str) -> bool {
    // It may be reset before it is known to be connected.
    let served = connect_from(from, address).and_then(|mut peer| {
        peer.write_all(format!("{first}burst 3\n").as_bytes())?;
        rest(&mut peer)
    });
    match served {
        Ok(text) => {
            assert_eq!(text.len(), 3);
            true
        }
        Err(error) => {
            assert!(is_reset(&error), "{error}");
            false
        }
    }
}

/// Opens connections one after the other, until one is refused. Returns how many were served.
fn until_refused(address: SocketAddr, first: &str) -> usize {
    let deadline = Instant::now() + DEADLINE;
    let mut served = 0;
    while is_served(PEER, address, first) {
        served += 1;
        assert!(Instant::now() < deadline, "none is refused");
    }
    served
}

/// Opens connections until one is served.
fn until_served(address: SocketAddr) {
    let deadline = Instant::now() + DEADLINE;
    while !is_served(PEER, address, "") {
        assert!(Instant::now() < deadline, "none is served");
    }
}

/// Those that have ended count, too, whichever worker had them.
#[test]
fn no_more_of_a_peer_are_served_than_the_rate() {
    let _open = unchanged();
    let evconn = start(3, &["--accept-rate-per-peer", "2"]);
    let address = evconn.address();
    let begin = Instant::now();
    let mut served = until_refused(address, "");
    for other in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        assert!(is_served(other, address, ""));
        until_served(address);
        served += 1 + until_refused(address, "");
    }
    let most = 2.0 + 2.0 * begin.elapsed().as_secs_f64();
    assert!(served as f64 <= most, "{served} of {most}");
    let log = end(evconn);
    assert!(
        log.contains("refused: its peer opens more than 2 per second"),
        "{log}"
    );
}

#[test]
fn one_process_does_the_same() {
    let _open = unchanged();
    let evconn = start(0, &["--accept-rate-per-peer", "1"]);
    let address = evconn.address();
    until_refused(address, "");
    until_served(address);
    end(evconn);
}

/// Behind a proxy, it is the announced peer that counts, and a Unix socket has none.
#[test]
fn peers_that_a_proxy_announces_have_rates() {
    let _open = unchanged();
    let proxied = ["--proxy-protocol", "--proxy-from", "127.0.0.1"];
    let rate = ["--accept-rate-per-peer", "1"];
    let evconn = start(2, &[&proxied[..], &rate].concat());
    let address = evconn.address();
    let header = |peer: &str| format!("PROXY TCP4 {peer} 127.0.0.1 1234 80\r\n");
    until_refused(address, &header("192.0.2.1"));
    for last in 2..20 {
        let header = header(&format!("192.0.2.{last}"));
        assert!(is_served(PEER, address, &header), "{header}");
    }
    end(evconn);
}
