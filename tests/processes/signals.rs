//! Signals that reach all processes of a server.

use super::{command, ends_well, ends_with, goes_on, start};
use crate::support::descriptors::unchanged;
use crate::support::peer::{echoing, rest};
use crate::support::process::Evconn;
use crate::support::workers::{children, wait_for_workers};
use rustix::process::{Signal, kill_process_group};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::CommandExt;

/// A server in a process group of its own, as a shell starts it, with two connections.
fn in_a_group(flags: &[&str]) -> (Evconn, Vec<TcpStream>) {
    let evconn = Evconn::start_by(command(2, flags).process_group(0));
    let address = evconn.address();
    let peers = (0..2).map(|_| echoing(address)).collect();
    (evconn, peers)
}

/// Waits until the server shuts down, in which its connections can finish.
fn drains(evconn: Evconn, mut peers: Vec<TcpStream>) {
    evconn.logged("ending: open connections (2) have 10s to finish");
    peers.iter_mut().for_each(goes_on);
    for peer in &mut peers {
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(peer).expect("a regular end"), "");
    }
    let log = ends_well(evconn);
    assert!(!log.contains("was killed"), "{log}");
    assert!(
        log.contains("served 2 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

#[test]
fn ctrl_c_reaches_all_processes_and_is_a_graceful_shutdown() {
    let _open = unchanged();
    for signal in [Signal::INT, Signal::TERM] {
        let (evconn, peers) = in_a_group(&[]);
        kill_process_group(evconn.id(), signal).expect("signalled");
        drains(evconn, peers);
    }
}

/// As systemd does by default, one process after the other.
#[test]
fn a_manager_that_signals_each_process_gets_a_graceful_shutdown() {
    let _open = unchanged();
    for workers_first in [true, false] {
        let (evconn, peers) = in_a_group(&[]);
        let workers = children(&evconn);
        if !workers_first {
            evconn.signal(Signal::TERM);
        }
        workers
            .iter()
            .for_each(|worker| worker.signal(Signal::TERM));
        if workers_first {
            evconn.signal(Signal::TERM);
        }
        drains(evconn, peers);
    }
}

#[test]
fn signals_that_mean_no_end_do_not_end_a_worker() {
    let _open = unchanged();
    let (evconn, mut peers) = in_a_group(&[]);
    let before = wait_for_workers(&evconn, 2);
    for signal in [Signal::USR1, Signal::PIPE] {
        kill_process_group(evconn.id(), signal).expect("signalled");
    }
    // The supervisor is upgraded by it.
    before.iter().for_each(|worker| worker.signal(Signal::USR2));
    peers.iter_mut().for_each(goes_on);
    assert_eq!(wait_for_workers(&evconn, 2), before);
    drop(peers);
    super::end(evconn);
}

#[test]
fn the_exit_status_says_that_a_second_signal_has_reset_one() {
    let _open = unchanged();
    let evconn = start(3, &["--grace", "600"]);
    let address = evconn.address();
    let mut peers: Vec<_> = (0..6).map(|_| echoing(address)).collect();
    let mut last = peers.pop().expect("one");
    evconn.signal(Signal::TERM);
    evconn.logged("ending: open connections (6) have 600s to finish");
    drop(peers);
    goes_on(&mut last);
    evconn.signal(Signal::TERM);
    rest(&mut last).expect_err("a reset");
    let log = ends_with(evconn, 1);
    assert!(log.contains("served 6 connections"), "{log}");
    assert!(log.contains(" were ended by the shutdown"), "{log}");
}

#[test]
fn the_grace_period_is_that_of_all_workers() {
    let _open = unchanged();
    let evconn = start(2, &["--grace", "0.2"]);
    let address = evconn.address();
    let mut peers: Vec<_> = (0..4).map(|_| echoing(address)).collect();
    evconn.signal(Signal::TERM);
    for peer in &mut peers {
        rest(peer).expect_err("a reset");
    }
    let log = ends_with(evconn, 1);
    assert!(log.contains("4 were ended by the shutdown"), "{log}");
}
