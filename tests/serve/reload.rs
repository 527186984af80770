//! SIGHUP: the component is read again.

use super::{TEST_GUEST, ask, connect, echoing, rest};
use crate::support::descriptors::unchanged;
use crate::support::manager::Manager;
use crate::support::scratch::{Scratch, install};
use evconn::guests;
use rustix::process::Signal;
use std::io::Write;
use std::net::Shutdown;

#[test]
fn new_connections_get_the_new_component() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let app = scratch.join("app.wasm");
    std::fs::copy(TEST_GUEST, &app).expect("copied");
    let manager = Manager::new();
    let evconn = manager.start(app.to_str().expect("text"), &[]);
    assert_eq!(manager.hear(), ["READY=1"]);
    let address = evconn.address();
    let mut old = echoing(address);

    install(guests::ECHO, &app);
    evconn.signal(Signal::HUP);
    manager.hear_of_reload();
    // Its echo begins with the first line, which the other takes for a command.
    let mut new = connect(address);
    ask(&mut new, "echo\n", "echo\n");
    ask(&mut old, "still here\n", "still here\n");
    drop((old, new));

    // One that does not load leaves the old in use, and the log says why.
    install(b"no component", &app);
    evconn.signal(Signal::HUP);
    manager.hear_of_reload();
    let mut other = connect(address);
    ask(&mut other, "echo\n", "echo\n");
    drop(other);

    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("component not reloaded, the old one stays: "),
        "{}",
        ended.stderr
    );
}

/// Clients connect all the time, and each is served by one of the two.
#[test]
fn no_connection_fails_under_load() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let app = scratch.join("app.wasm");
    std::fs::copy(TEST_GUEST, &app).expect("copied");
    let manager = Manager::new();
    let evconn = manager.start(app.to_str().expect("text"), &[]);
    assert_eq!(manager.hear(), ["READY=1"]);
    let address = evconn.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let mut stream = connect(address);
                    stream.write_all(b"echo\nhello\n").expect("sent");
                    stream.shutdown(Shutdown::Write).expect("ended");
                    let answer = rest(&mut stream).expect("a regular end");
                    assert!(answer.ends_with("hello\n"), "{answer:?}");
                }
            })
        })
        .collect();
    let test_guest = std::fs::read(TEST_GUEST).expect("read");
    for content in [guests::ECHO, &test_guest].iter().cycle().take(4) {
        install(content, &app);
        evconn.signal(Signal::HUP);
        manager.hear_of_reload();
    }
    for client in clients {
        client.join().expect("every connection was served");
    }
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert!(
        ended
            .stderr
            .contains("served 400 connections, of which 0 were refused, 0 failed"),
        "{}",
        ended.stderr
    );
}
