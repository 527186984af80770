//! Many connections, and what they leave.

use super::{Site, unchanged};
use crate::support::eventually;
use crate::support::peer::rest;
use crate::support::workers::wait_for_workers;
use std::io::{Read, Write};
use std::net::Shutdown;

const MANY: usize = 200;

#[test]
fn many_connections_at_a_time_are_kept_apart() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let mut peers: Vec<_> = (0..MANY).map(|_| site.act("echo")).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        write!(peer, "{number:8}").expect("sent");
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        let mut back = [0; 8];
        peer.read_exact(&mut back).expect("an echo");
        assert_eq!(back, *format!("{number:8}").as_bytes());
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(peer).expect("a regular end"), "");
    }
    let log = site.end();
    assert!(log.contains("0 failed"), "{log}");
}

/// Connections that end in every way leave no descriptor.
#[test]
fn nothing_is_left_of_connections() {
    let _open = unchanged();
    let site = Site::start(&[]);
    let worker = wait_for_workers(&site.evconn, 1).remove(0);
    site.is_polite();
    let sockets = || {
        let all = worker.descriptors();
        all.iter().filter(|it| it.starts_with("socket:")).count()
    };
    let before = sockets();
    for _ in 0..10 {
        for act in ["echo", "hand-back", "trap", "fail", "burst 100000"] {
            drop(site.act(act));
        }
        for act in ["read-no-more", "addresses", "print x"] {
            site.all_of(act);
        }
    }
    eventually("its worker has no more sockets than before", || {
        (sockets() <= before).then_some(())
    });
    site.is_polite();
    site.end();
}
