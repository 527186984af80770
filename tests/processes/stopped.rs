//! A worker that is stopped: by a debugger, or by whoever has tried.

use super::{ends_with, goes_on, start};
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{connect, echoing};
use crate::support::workers::{wait_for_workers, worker_with};
use rustix::process::Signal;
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn a_stopped_worker_holds_nobody_else_up() {
    let _open = unchanged();
    let evconn = start(2, &[]);
    let address = evconn.address();
    let mut peers: Vec<_> = (0..4).map(|_| echoing(address)).collect();
    let stopped = worker_with(&evconn, &peers[0]);
    stopped.stop();
    for _ in 0..20 {
        let peer = echoing(address);
        assert!(!stopped.serves(&peer));
        peers.push(peer);
    }
    for peer in &mut peers {
        if !stopped.serves(peer) {
            goes_on(peer);
        }
    }
    stopped.signal(Signal::CONT);
    peers.iter_mut().for_each(goes_on);
    drop(peers);
    // It takes its share again.
    let mut peers = Vec::new();
    eventually("it serves somebody", || {
        peers.push(echoing(address));
        peers.last().filter(|peer| stopped.serves(peer)).map(|_| ())
    });
    drop(peers);
    super::end(evconn);
}

#[test]
fn a_second_signal_ends_a_server_with_a_stopped_worker() {
    let _open = unchanged();
    let evconn = start(2, &["--grace", "600"]);
    let peer = echoing(evconn.address());
    worker_with(&evconn, &peer).stop();
    evconn.signal(Signal::TERM);
    evconn.logged("ending: ");
    evconn.signal(Signal::TERM);
    let log = ends_with(evconn, 1);
    assert!(log.contains("1 were ended by the shutdown"), "{log}");
    drop(peer);
}

/// The same if nobody was connected to it.
#[test]
fn a_server_ends_though_an_idle_worker_is_stopped() {
    let _open = unchanged();
    let evconn = start(2, &["--grace", "2"]);
    let address = evconn.address();
    let log = {
        wait_for_workers(&evconn, 2)[1].stop();
        // The other one serves.
        drop(echoing(address));
        super::end(evconn)
    };
    assert!(log.contains("0 were ended by the shutdown"), "{log}");
}

/// A worker may be stopped while it changes what all share. It is killed then, since the others wait for it.
#[test]
fn workers_may_be_stopped_at_any_moment() {
    let _open = unchanged();
    let evconn = start(2, &[]);
    let address = evconn.address();
    let until = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    while Instant::now() < until {
                        let mut peer = connect(address);
                        // Its worker may be killed.
                        let _ = peer.write_all(b"echo\n");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        while Instant::now() < until {
            for worker in wait_for_workers(&evconn, 2) {
                worker.signal(Signal::STOP);
                drop(echoing_by_somebody(address));
                worker.signal(Signal::CONT);
            }
        }
        for client in clients {
            assert!(client.join().expect("no panic") > 0);
        }
    });
    drop(echoing(address));
    super::end(evconn);
}

/// A connection may be with the worker that was stopped.
fn echoing_by_somebody(address: std::net::SocketAddr) -> std::net::TcpStream {
    let mut peer = connect(address);
    // It is not waited for: the next one may be luckier.
    let _ = peer.write_all(b"echo\nhello\n");
    peer
}
