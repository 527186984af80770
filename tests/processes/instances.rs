//! Instances and those that are made ahead are those of the server: its workers divide them.

use super::crowd::Crowd;
use super::{TEST_GUEST, end, start};
use crate::support::descriptors::unchanged;
use crate::support::peer::echoing;
use crate::support::process::Evconn;
use crate::support::workers::{spread, wait_for_workers, worker_with, workers};
use std::net::TcpStream;

#[test]
fn there_are_no_more_workers_than_instances() {
    let _open = unchanged();
    for (instances, count) in [("1", 1), ("2", 2), ("9", 3)] {
        let listen = ["--listen", "127.0.0.1:0", "--processes", "3"];
        let flags = ["--instances", instances];
        let evconn = Evconn::start(&[&["serve", TEST_GUEST], &listen[..], &flags].concat());
        drop(echoing(evconn.address()));
        assert_eq!(workers(&evconn).len(), count, "{instances} instances");
        end(evconn);
    }
}

/// Of three, one worker has two, and the other one has one; so has the one that takes its place.
#[test]
fn instances_are_divided_exactly() {
    let _open = unchanged();
    let evconn = start(2, &["--instances", "3"]);
    let address = evconn.address();
    for _ in 0..3 {
        let mut crowd = Crowd::connect(address, 5);
        crowd.is_served(3);
        let mut parts = spread(&evconn, &crowd.served);
        parts.sort_unstable();
        assert_eq!(parts, [1, 2]);
        let larger = worker_of_two(&evconn, &crowd.served);
        drop(crowd);
        larger.kill();
        larger.ends();
        wait_for_workers(&evconn, 2);
    }
    end(evconn);
}

/// The worker that serves two of these.
fn worker_of_two(evconn: &Evconn, peers: &[TcpStream]) -> crate::support::workers::Process {
    let of = |peer: &&TcpStream| {
        let worker = worker_with(evconn, peer);
        peers.iter().filter(|other| worker.serves(other)).count() == 2
    };
    let peer = peers.iter().find(of).expect("one has two");
    worker_with(evconn, peer)
}
