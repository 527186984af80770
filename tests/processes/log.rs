//! One log, whichever process writes to it.

use super::{command, end, goes_on, start};
use crate::support::descriptors::unchanged;
use crate::support::peer::{connect, echoing, rest};
use crate::support::process::Evconn;
use crate::support::workers::wait_for_workers;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;

/// Has peers at the same time that each begin with this command, and waits for their ends.
fn all_at_once(address: SocketAddr, count: usize, command: &str) {
    let mut peers: Vec<_> = (0..count).map(|_| connect(address)).collect();
    for peer in &mut peers {
        peer.write_all(command.as_bytes()).expect("sent");
    }
    for mut peer in peers {
        assert_eq!(rest(&mut peer).expect("a regular end"), "printed\n");
    }
}

#[test]
fn its_lines_are_whole() {
    let _open = unchanged();
    const CONNECTIONS: usize = 12;
    const LINES: usize = 50;
    let evconn = start(3, &["--log-format", "json", "--log-budget", "none"]);
    let line = "x".repeat(300) + r"\n";
    let command = format!("print {}\n", line.repeat(LINES));
    all_at_once(evconn.address(), CONNECTIONS, &command);
    let log = end(evconn);
    let mut printed = 0;
    for line in log.lines() {
        let record: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        printed += usize::from(record.to_string().contains("xxx"));
    }
    assert_eq!(printed, CONNECTIONS * LINES);
}

#[test]
fn what_services_print_is_whole_and_in_order() {
    let _open = unchanged();
    const CONNECTIONS: usize = 6;
    const LINES: usize = 3000;
    let evconn = start(3, &["--inherit-stderr"]);
    all_at_once(evconn.address(), CONNECTIONS, &format!("flood {LINES}\n"));
    let log = end(evconn);
    let mut printed = BTreeMap::<&str, Vec<&str>>::new();
    let lines = log.lines().filter_map(|line| line.strip_prefix('['));
    for (number, line) in lines.filter_map(|line| line.split_once("] line ")) {
        printed.entry(number).or_default().push(line);
    }
    assert_eq!(printed.len(), CONNECTIONS, "{:?}", printed.keys());
    let expected: Vec<_> = (1..=LINES).map(|number| number.to_string()).collect();
    for (number, lines) in printed {
        assert!(
            lines == expected,
            "connection {number}: {} lines",
            lines.len()
        );
    }
}

/// A log that nobody reads is full soon. Who serves does not wait, and neither does who looks after them.
#[test]
fn a_log_that_nobody_reads_holds_up_no_worker_and_no_supervisor() {
    let _open = unchanged();
    let (mut unread, stderr) = std::io::pipe().expect("a pipe");
    let mut command = command(2, &[]);
    let mut quiet = Command::new("sh");
    quiet
        .args(["-c", r#"exec "$@" 2>&0 </dev/null"#, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(stderr);
    std::mem::swap(&mut command, &mut quiet);
    let evconn = Evconn::start_by(&mut command);
    drop((command, quiet));
    let address = evconn.address();
    for _ in 0..1000 {
        let mut peer = connect(address);
        peer.write_all(b"trap\n").expect("sent");
        rest(&mut peer).expect_err("a reset");
    }
    for worker in wait_for_workers(&evconn, 2) {
        worker.kill();
    }
    let mut peer = echoing(address);
    goes_on(&mut peer);
    drop(peer);
    evconn.signal(Signal::TERM);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        unread.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(evconn.wait().status.code(), Some(0));
    let text = reader.join().expect("no panic").expect("text");
    assert!(text.contains("was killed by signal 9"), "{text}");
}

/// The last words of a worker come before what the supervisor says of its end.
#[test]
fn a_worker_is_heard_to_the_end() {
    let _open = unchanged();
    let evconn = start(1, &[]);
    let mut peer = connect(evconn.address());
    peer.write_all(b"error these are the last words\n")
        .expect("sent");
    rest(&mut peer).expect_err("a reset");
    let log = end(evconn);
    let said = log.find("these are the last words").expect("it is there");
    let ended = log.find("served 1 connection").expect("it is there");
    assert!(said < ended, "{log}");
}
