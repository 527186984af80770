//! SIGHUP: workers of the new component take the place of the old ones.

use super::{TEST_GUEST, ends_well, goes_on};
use crate::support::descriptors::unchanged;
use crate::support::limit::has_room_for;
use crate::support::manager::Manager;
use crate::support::peer::{ask, connect, echoing, rest};
use crate::support::pipe::{pipe, writer};
use crate::support::process::Evconn;
use crate::support::scratch::{Scratch, install};
use crate::support::workers::{Process, children, wait_for_workers, worker_with, workers};
use crate::support::{eventually, skip};
use evconn::guests;
use rustix::process::Signal;
use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A server with a manager, and a component that can be replaced.
struct Reloading {
    evconn: Evconn,
    manager: Manager,
    address: SocketAddr,
    app: PathBuf,
    scratch: Scratch,
}

/// How many workers it has.
const WORKERS: usize = 3;

impl Reloading {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(flags: &[&str]) -> Self {
        let scratch = Scratch::new();
        let app = scratch.join("app.wasm");
        std::fs::copy(TEST_GUEST, &app).expect("copied");
        let manager = Manager::new();
        let processes = WORKERS.to_string();
        let flags = [&["--processes", &processes], flags].concat();
        let evconn = manager.start(app.to_str().expect("text"), &flags);
        assert_eq!(manager.hear(), ["READY=1"]);
        Self {
            address: evconn.address(),
            evconn,
            manager,
            app,
            scratch,
        }
    }

    /// Replaces the component, and waits until the server is done with that.
    fn reload(&self, component: &[u8]) {
        install(component, &self.app);
        self.evconn.signal(Signal::HUP);
        self.manager.hear_of_reload();
    }

    fn workers(&self) -> Vec<Process> {
        wait_for_workers(&self.evconn, WORKERS)
    }

    fn end(self) -> String {
        super::end(self.evconn)
    }
}

/// The example echoes the first line as well, which the test guest takes for a command.
fn is_the_example(address: SocketAddr) {
    ask(&mut connect(address), "echo\n", "echo\n");
}

#[test]
fn old_workers_go_on_until_their_connections_end() {
    let _open = unchanged();
    let server = Reloading::start();
    let before = server.workers();
    let mut old = echoing(server.address);
    let serving = worker_with(&server.evconn, &old);
    server.reload(guests::ECHO);
    for _ in 0..5 {
        is_the_example(server.address);
    }
    // The old worker that still has something to do is there besides the new ones.
    let now = wait_for_workers(&server.evconn, WORKERS + 1);
    let kept: Vec<_> = now
        .iter()
        .filter(|worker| before.contains(worker))
        .collect();
    assert_eq!(kept, [&serving]);
    goes_on(&mut old);
    drop(old);
    serving.ends();
    assert!(
        server
            .workers()
            .iter()
            .all(|worker| !before.contains(worker))
    );
    let log = server.end();
    assert!(
        log.contains("component reloaded, for new connections"),
        "{log}"
    );
    assert!(
        log.contains("served 6 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

#[test]
fn a_component_that_does_not_load_leaves_the_workers_alone() {
    let _open = unchanged();
    let server = Reloading::start();
    let before = server.workers();
    let mut old = echoing(server.address);
    server.reload(b"no component");
    assert_eq!(server.workers(), before);
    goes_on(&mut old);
    drop((old, echoing(server.address)));
    let log = server.end();
    let line = log
        .lines()
        .find(|line| line.contains("component not reloaded"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("the old one stays: ") && line.contains("app.wasm"),
        "{line}"
    );
}

/// It loads, but there is no room for as many instances as there are to be.
#[test]
fn a_component_whose_workers_do_not_come_up_leaves_the_old_ones_alone() {
    let _open = unchanged();
    if !has_room_for(12_000) {
        return skip("a server may not have as many connections here");
    }
    let server = Reloading::start_with(&["--max-connections", "10000"]);
    let before = server.workers();
    let mut old = echoing(server.address);
    let link =
        "(core module $m (memory 1))".to_owned() + &"(core instance (instantiate $m))".repeat(7);
    server.reload(crate::loading::echo_with(&link).as_bytes());
    assert_eq!(server.workers(), before);
    goes_on(&mut old);
    drop((old, echoing(server.address)));
    let log = server.end();
    let line = log
        .lines()
        .find(|line| line.contains("component not reloaded"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("the old one stays: a worker failed: "),
        "{line}"
    );
    assert!(line.contains("memories"), "{line}");
}

/// It is a matter of luck to kill a worker before all of them have started.
#[test]
fn a_reload_whose_worker_dies_is_given_up() {
    let _open = unchanged();
    let server = Reloading::start();
    install(guests::ECHO, &server.app);
    let is_given_up = |server: &Reloading| {
        let before = server.workers();
        server.evconn.signal(Signal::HUP);
        eventually("a new worker is killed", || {
            let mut all = workers(&server.evconn).into_iter();
            let new = all.find(|worker| !before.contains(worker))?;
            new.signal(Signal::KILL);
            Some(())
        });
        server.manager.hear_of_reload();
        server.workers() == before
    };
    eventually("a reload is given up", || {
        is_given_up(&server).then_some(())
    });
    let log = server
        .evconn
        .logged("component not reloaded, the old one stays: ");
    let said = "a worker was killed by signal 9 (SIGKILL)";
    assert!(log.contains(said), "{log}");
    // The next one succeeds.
    let before = server.workers();
    server.reload(guests::ECHO);
    is_the_example(server.address);
    assert!(
        server
            .workers()
            .iter()
            .all(|worker| !before.contains(worker))
    );
    server.end();
}

/// What clients of one server have seen until it is over.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    served: AtomicUsize,
}

impl Load {
    fn go_on(&self, address: SocketAddr) {
        while !self.is_over.load(Ordering::Relaxed) {
            let mut stream = connect(address);
            stream.write_all(b"echo\nhello\n").expect("sent");
            stream.shutdown(Shutdown::Write).expect("ended");
            let answer = rest(&mut stream).expect("a regular end");
            assert!(answer.ends_with("hello\n"), "{answer:?}");
            self.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn twenty_reloads_under_load_lose_no_connection() {
    let _open = unchanged();
    let server = Reloading::start();
    let load = Load::default();
    let test_guest = std::fs::read(TEST_GUEST).expect("read");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.go_on(server.address));
        }
        for content in [guests::ECHO, &test_guest].into_iter().cycle().take(20) {
            server.reload(content);
        }
        load.is_over.store(true, Ordering::Relaxed);
    });
    let served = load.served.into_inner();
    server.workers();
    let log = server.end();
    let said = format!("served {served} connections, of which 0 were refused, 0 failed, 0 lost");
    assert!(log.contains(&said), "{log}");
}

#[test]
fn each_of_several_hangups_in_a_row_is_heeded() {
    let _open = unchanged();
    let server = Reloading::start();
    for _ in 0..5 {
        server.evconn.signal(Signal::HUP);
    }
    install(guests::ECHO, &server.app);
    server.evconn.signal(Signal::HUP);
    eventually("the last one is in use", || {
        let mut peer = connect(server.address);
        peer.write_all(b"echo\n").expect("sent");
        peer.shutdown(Shutdown::Write).expect("ended");
        (rest(&mut peer).ok()? == "echo\n").then_some(())
    });
    server.workers();
    server.end();
}

#[test]
fn a_reload_in_a_drain_is_too_late() {
    let _open = unchanged();
    let server = Reloading::start();
    let mut peer = echoing(server.address);
    let serving = worker_with(&server.evconn, &peer);
    server.evconn.signal(Signal::TERM);
    assert_eq!(server.manager.hear(), ["STOPPING=1"]);
    server.evconn.signal(Signal::HUP);
    eventually("the others end", || {
        (children(&server.evconn) == [serving.clone()]).then_some(())
    });
    goes_on(&mut peer);
    drop(peer);
    ends_well(server.evconn);
}

/// The component comes out of a pipe, slowly.
#[test]
fn a_signal_ends_a_server_that_reads_its_component_again() {
    let _open = unchanged();
    let server = Reloading::start();
    std::fs::remove_file(&server.app).expect("removed");
    let path = pipe(&server.scratch);
    assert_eq!(path, server.app);
    server.evconn.signal(Signal::HUP);
    let unfinished = writer(&path);
    server.evconn.signal(Signal::TERM);
    ends_well(server.evconn);
    drop(unfinished);
}

#[test]
fn a_signal_ends_a_server_that_compiles_again() {
    let _open = unchanged();
    let server = Reloading::start();
    install(super::large_component(20_000).as_bytes(), &server.app);
    server.evconn.signal(Signal::HUP);
    let compiling = eventually("something compiles", || {
        Some(children(&server.evconn)).filter(|children| children.len() > WORKERS)
    });
    server.evconn.signal(Signal::TERM);
    ends_well(server.evconn);
    assert!(compiling.iter().all(|process| !process.exists()));
}

/// Workers that were started for nothing are no failure.
#[test]
fn a_signal_ends_a_server_whose_new_workers_start() {
    let _open = unchanged();
    for _ in 0..5 {
        let server = Reloading::start();
        let before = server.workers();
        install(guests::ECHO, &server.app);
        server.evconn.signal(Signal::HUP);
        eventually("a new worker starts", || {
            let mut all = workers(&server.evconn).into_iter();
            all.find(|worker| !before.contains(worker))
        });
        server.evconn.signal(Signal::TERM);
        let log = ends_well(server.evconn);
        assert!(!log.contains("ERROR"), "{log}");
    }
}

/// New connections and old ones are served while something compiles.
#[test]
fn nobody_waits_for_a_compilation() {
    let _open = unchanged();
    let server = Reloading::start();
    let mut old = echoing(server.address);
    std::fs::remove_file(&server.app).expect("removed");
    let path = pipe(&server.scratch);
    server.evconn.signal(Signal::HUP);
    let mut unfinished = writer(&path);
    drop(echoing(server.address));
    goes_on(&mut old);
    wait_for_workers(&server.evconn, WORKERS)[0].kill();
    wait_for_workers(&server.evconn, WORKERS);
    unfinished.write_all(guests::ECHO).expect("written");
    drop(unfinished);
    server.manager.hear_of_reload();
    is_the_example(server.address);
    drop(old);
    server.end();
}
