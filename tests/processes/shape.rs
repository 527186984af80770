//! Which processes there are, and what they are called.

use super::{TEST_GUEST, command, end, goes_on, start};
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{connect, echoing, rest};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::workers::{
    WORKER, children, supervisor, wait_for_workers, worker_with, workers,
};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::io::Write;

#[test]
fn a_server_has_as_many_workers_as_it_is_told() {
    let _open = unchanged();
    for count in [1, 3] {
        let evconn = start(count, &[]);
        drop(echoing(evconn.address()));
        assert_eq!(supervisor(&evconn).name(), "evconn");
        let children = children(&evconn);
        assert_eq!(children.len(), count);
        for worker in children {
            assert_eq!(worker.name(), WORKER);
            assert_eq!(worker.command(), "evconn worker");
        }
        end(evconn);
    }
}

#[test]
fn echo_has_workers_too() {
    let _open = unchanged();
    let evconn = Evconn::start(&["echo", "0", "--address", "127.0.0.1", "--processes", "2"]);
    let mut peer = connect(evconn.address());
    goes_on(&mut peer);
    assert_eq!(workers(&evconn).len(), 2);
    drop(peer);
    end(evconn);
}

#[test]
fn without_processes_the_command_serves_by_itself() {
    let _open = unchanged();
    let evconn = start(0, &[]);
    let mut peer = echoing(evconn.address());
    assert_eq!(children(&evconn), []);
    assert!(supervisor(&evconn).serves(&peer));
    goes_on(&mut peer);
    drop(peer);
    end(evconn);
}

#[test]
fn by_default_there_is_one_for_each_core() {
    let _open = unchanged();
    let cores = std::thread::available_parallelism()
        .expect("a number")
        .get();
    let evconn = Evconn::start(&["serve", TEST_GUEST, "--listen", "127.0.0.1:0"]);
    drop(echoing(evconn.address()));
    assert_eq!(workers(&evconn).len(), cores);
    end(evconn);
}

/// The main thread, which accepts, has the name of the process.
#[test]
fn each_worker_has_as_many_threads_as_the_flag_says() {
    let _open = unchanged();
    for (flags, count) in [(&[][..], 1), (&["--workers", "3"], 3)] {
        let evconn = start(2, flags);
        drop(echoing(evconn.address()));
        for worker in workers(&evconn) {
            let threads = worker.threads();
            let serving = threads.iter().filter(|name| *name == "evconn-worker");
            assert_eq!(serving.count(), count + 1, "{threads:?}");
        }
        end(evconn);
    }
}

#[test]
fn the_supervisor_serves_nobody() {
    let _open = unchanged();
    let evconn = start(2, &[]);
    let address = evconn.address();
    let peers: Vec<_> = (0..6).map(|_| echoing(address)).collect();
    for peer in &peers {
        worker_with(&evconn, peer);
        assert!(!supervisor(&evconn).serves(peer));
    }
    drop(peers);
    end(evconn);
}

#[test]
fn nothing_is_left_of_a_server() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let temporary = scratch.join("tmp");
    std::fs::create_dir(&temporary).expect("made");
    let mut command = command(3, &[]);
    command.env("TMPDIR", &temporary);
    let evconn = Evconn::start_by(&mut command);
    let address = evconn.address();
    drop(echoing(address));
    let killed = &wait_for_workers(&evconn, 3)[0];
    killed.kill();
    drop(echoing(address));
    wait_for_workers(&evconn, 3);
    assert!(!children(&evconn).iter().any(|child| child.is_zombie()));
    assert_eq!(files_of_ours(), Vec::<String>::new());
    end(evconn);
    let left = std::fs::read_dir(&temporary).expect("read").count();
    assert_eq!(left, 0);
    assert_eq!(files_of_ours(), Vec::<String>::new());
}

/// What is in the folders for files that live as long as the machine runs, and named for this program.
fn files_of_ours() -> Vec<String> {
    let folders = ["/dev/shm", "/run"].map(std::fs::read_dir);
    let entries = folders.into_iter().flatten().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.contains("evconn")).collect()
}

#[test]
fn no_two_connections_have_one_number() {
    let _open = unchanged();
    const CONNECTIONS: u64 = 30;
    let evconn = start(3, &[]);
    let address = evconn.address();
    // Together, so that all workers have some.
    let peers: Vec<_> = (0..CONNECTIONS).map(|_| connect(address)).collect();
    for mut peer in peers {
        peer.write_all(b"error on purpose\n").expect("sent");
        rest(&mut peer).expect_err("a reset");
    }
    let log = end(evconn);
    let failed = log.lines().filter(|line| line.contains("on purpose"));
    let numbers: BTreeSet<u64> = failed.map(number_in).collect();
    assert_eq!(numbers, (1..=CONNECTIONS).collect(), "{log}");
}

fn number_in(line: &str) -> u64 {
    let (_, rest) = line.split_once("number=").expect("a number");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.expect("some").parse().expect("a number")
}

/// A worker that has died is waited for at once, also if none takes its place.
#[test]
fn a_worker_that_has_died_is_no_zombie() {
    let _open = unchanged();
    let evconn = start(2, &["--grace", "600"]);
    let mut peer = echoing(evconn.address());
    let serving = worker_with(&evconn, &peer);
    evconn.signal(Signal::TERM);
    // The other one has nothing left to do.
    eventually("one worker is left", || {
        (children(&evconn) == [serving.clone()]).then_some(())
    });
    goes_on(&mut peer);
    drop(peer);
    super::ends_well(evconn);
}
