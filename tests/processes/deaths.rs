//! A worker that dies: what its connections had is free again, and nobody else notices.

use super::crowd::Crowd;
use super::{end, goes_on, is_lost, is_refused, start};
use crate::support::DEADLINE;
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{ask, connect, echoing};
use crate::support::process::Evconn;
use crate::support::workers::{Process, wait_for_workers, worker_with, workers};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Connections, and the worker that has the first of them.
struct Divided {
    victim: Process,
    of_victim: Vec<TcpStream>,
    others: Vec<TcpStream>,
}

/// Opens this many connections, and finds out who has them.
fn divided(evconn: &Evconn, address: SocketAddr, count: usize) -> Divided {
    let peers: Vec<_> = (0..count).map(|_| echoing(address)).collect();
    let victim = worker_with(evconn, &peers[0]);
    let (of_victim, others) = peers.into_iter().partition(|peer| victim.serves(peer));
    Divided {
        victim,
        of_victim,
        others,
    }
}

impl Divided {
    /// Kills the worker. Returns the connections of the others, and how many are lost.
    fn kill(mut self) -> (Vec<TcpStream>, usize) {
        self.victim.kill();
        self.of_victim.iter_mut().for_each(is_lost);
        self.others.iter_mut().for_each(goes_on);
        (self.others, self.of_victim.len())
    }
}

#[test]
fn a_death_ends_the_connections_of_one_worker_alone() {
    let _open = unchanged();
    let evconn = start(3, &[]);
    let address = evconn.address();
    let divided = divided(&evconn, address, 9);
    let process = divided.victim.id();
    assert!(!divided.others.is_empty(), "all are with one worker");
    let (mut others, lost) = divided.kill();
    let mut new: Vec<_> = (0..3).map(|_| echoing(address)).collect();
    let after = wait_for_workers(&evconn, 3);
    assert!(after.iter().all(|worker| worker.id() != process));
    others.iter_mut().chain(&mut new).for_each(goes_on);
    let log = evconn.logged("was killed by signal 9 (SIGKILL)");
    let line = log.lines().find(|line| line.contains("was killed"));
    let line = line.expect("it is there");
    assert!(
        line.contains("worker ") && line.contains(&format!("(process {process})")),
        "{line}"
    );
    assert_eq!(lost_in(line), lost, "{line}");
    drop((others, new));
    let log = end(evconn);
    assert!(log.contains("served 12 connections"), "{log}");
    assert!(log.contains(&format!("{lost} failed")), "{log}");
}

/// How many connections a line says are lost.
fn lost_in(line: &str) -> usize {
    match line.split_once("and its ") {
        None => 0,
        Some((_, rest)) if rest.starts_with("connection ") => 1,
        Some((_, rest)) => {
            let count = rest.split(' ').next().expect("a count");
            count.parse().expect("a number")
        }
    }
}

#[test]
fn all_that_a_dead_worker_had_of_the_limit_is_free_again() {
    let _open = unchanged();
    let evconn = start(2, &["--max-connections", "6"]);
    let address = evconn.address();
    for _ in 0..3 {
        let (others, lost) = divided(&evconn, address, 6).kill();
        let mut crowd = Crowd::connect(address, lost + 2);
        crowd.is_served(lost);
        crowd.end_one();
        crowd.is_served(lost);
        assert!(crowd.has_waiting());
        drop((crowd, others));
    }
    end(evconn);
}

#[test]
fn all_that_a_dead_worker_had_of_a_peer_is_free_again() {
    let _open = unchanged();
    let evconn = start(2, &["--max-connections-per-peer", "4"]);
    let address = evconn.address();
    let (others, lost) = divided(&evconn, address, 4).kill();
    // By its end it is known that the worker is gone.
    evconn.logged("was killed by signal 9");
    let again: Vec<_> = (0..lost).map(|_| echoing(address)).collect();
    is_refused(|| TcpStream::connect(address));
    drop((others, again));
    let log = end(evconn);
    assert!(log.contains("has 4 connections already"), "{log}");
}

#[test]
fn who_waits_while_no_worker_lives_is_served_by_the_next_one() {
    let _open = unchanged();
    let evconn = start(1, &[]);
    let address = evconn.address();
    drop(echoing(address));
    // Stopped first, so that the connection waits until it is killed.
    let worker = wait_for_workers(&evconn, 1).remove(0);
    worker.stop();
    let mut peer = connect(address);
    peer.write_all(b"echo\nhello\n").expect("sent");
    worker.kill();
    let mut answer = [0; 6];
    peer.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"hello\n");
    drop(peer);
    end(evconn);
}

/// It comes back later and later, and it does come back.
#[test]
fn workers_that_die_in_a_row_are_replaced_less_and_less_often() {
    let _open = unchanged();
    let evconn = start(1, &[]);
    let address = evconn.address();
    for _ in 0..6 {
        let worker = eventually("there is a worker", || workers(&evconn).pop());
        worker.kill();
    }
    // One that was ready before it was killed is replaced sooner.
    eventually("some have waited for longer and longer", || {
        let log = evconn.log_so_far();
        let waited = |delay| log.contains(&format!("another worker is started in {delay}\n"));
        ["400ms", "800ms", "1.6s"]
            .into_iter()
            .any(waited)
            .then_some(())
    });
    drop(echoing(address));
    end(evconn);
}

/// What clients have seen.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    served: AtomicUsize,
    lost: AtomicUsize,
}

impl Seen {
    /// Connects again and again.
    fn connect_to(&self, address: SocketAddr) {
        while !self.stop.load(Ordering::Relaxed) {
            let count = match echoes(address) {
                Ok(()) => &self.served,
                Err(_) => &self.lost,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn echoes(address: SocketAddr) -> std::io::Result<()> {
    let mut peer = TcpStream::connect_timeout(&address, DEADLINE)?;
    peer.set_read_timeout(Some(DEADLINE))?;
    peer.write_all(b"echo\nhello\n")?;
    let mut answer = [0; 6];
    peer.read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello\n");
    Ok(())
}

/// Each connection that a client has lost is one of a worker that was killed, and its answer to the others
/// comes whatever happens to that.
#[test]
fn fifty_deaths_under_load_lose_no_connection_of_others() {
    let _open = unchanged();
    const WORKERS: usize = 4;
    const LIMIT: usize = 8;
    let evconn = start(WORKERS, &["--max-connections", &LIMIT.to_string()]);
    let address = evconn.address();
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| seen.connect_to(address));
        }
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            kill_again_and_again(&evconn, WORKERS, 50);
        }));
        seen.stop.store(true, Ordering::Relaxed);
        killed.expect("all were replaced");
    });
    let mut crowd = Crowd::connect(address, LIMIT + 4);
    crowd.is_served(LIMIT);
    drop(crowd);
    let log = end(evconn);
    let lost: usize = log.lines().map(lost_in).sum();
    let seen = [&seen.served, &seen.lost].map(|count| count.load(Ordering::Relaxed));
    assert!(seen[0] > 100, "{seen:?}");
    assert!(
        seen[1] <= lost,
        "{seen:?}, and {lost} of dead workers: {log}"
    );
}

/// Kills the oldest worker, each time when there are all.
fn kill_again_and_again(evconn: &Evconn, workers: usize, times: usize) {
    let mut all = wait_for_workers(evconn, workers);
    for _ in 0..times {
        all.remove(0).kill();
        let now = wait_for_workers(evconn, workers);
        all.extend(
            now.into_iter()
                .filter(|worker| !all.contains(worker))
                .collect::<Vec<_>>(),
        );
    }
}

/// Whatever a worker writes at its end, and however it ends.
#[test]
fn the_log_says_how_a_worker_has_ended() {
    let _open = unchanged();
    let evconn = start(1, &[]);
    let address = evconn.address();
    for (signal, how) in [
        (Signal::ABORT, "was killed by signal 6 (SIGABRT)"),
        // Not SIGQUIT, which a shell has what it starts in the background ignore.
        (Signal::TRAP, "was killed by signal 5 (SIGTRAP)"),
    ] {
        let mut peer = echoing(address);
        let worker = worker_with(&evconn, &peer);
        worker.signal(signal);
        is_lost(&mut peer);
        let log = evconn.logged(how);
        assert!(log.contains(", and its connection is lost"), "{log}");
    }
    end(evconn);
}

/// New connections are served by the others, without a wait for the replacement.
#[test]
fn nobody_waits_for_a_replacement() {
    let _open = unchanged();
    let evconn = start(2, &[]);
    let address = evconn.address();
    for _ in 0..3 {
        let (others, _) = divided(&evconn, address, 4).kill();
        let mut peer = connect(address);
        ask(&mut peer, "echo\nhello\n", "hello\n");
        drop((others, peer));
        wait_for_workers(&evconn, 2);
    }
    end(evconn);
}
