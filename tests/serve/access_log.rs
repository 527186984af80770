//! The access log: a line for each connection, when it ends.

use super::flags::ends_in_reset;
use super::{ask, connect, echoing, start};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::{DEADLINE, is_reset};
use rustix::process::Signal;
use serde_json::Value;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};

/// Ends a server that has no connections, and returns its log.
fn end(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stderr
}

/// The fields of each line of the access log, which is JSON.
fn lines(log: &str) -> Vec<Value> {
    let records = log.lines().map(|line| {
        let record: Value = serde_json::from_str(line).expect("an object per line");
        record["fields"].clone()
    });
    let is_access = |fields: &Value| fields["message"] == "connection ended";
    records.filter(is_access).collect()
}

/// Has a line echoed, and waits until the connection has ended.
fn echo(address: SocketAddr) {
    let mut peer = echoing(address);
    peer.shutdown(Shutdown::Write).expect("the end is sent");
    assert_eq!(peer.read_to_end(&mut Vec::new()).expect("the end"), 0);
}

#[test]
fn each_connection_has_a_line_when_it_ends() {
    let _open = unchanged();
    let evconn = start(&["--access-log", "--log-format", "json"]);
    let address = evconn.address();
    let mut peer = connect(address);
    let name = peer.local_addr().expect("an address").to_string();
    ask(&mut peer, "echo\nhello\n", "hello\n");
    drop(peer);
    evconn.logged("\"cause\":\"done\"");
    ends_in_reset(address, "trap\n");
    let listener = address.to_string();
    let log = end(evconn);
    let [done, trapped] = <[Value; 2]>::try_from(lines(&log)).expect("two lines");
    assert_eq!(
        (&done["number"], &done["cause"]),
        (&1.into(), &"done".into())
    );
    assert_eq!(done["peer"], *name);
    assert_eq!(done["listener"], *listener);
    assert_eq!((&done["received"], &done["sent"]), (&11.into(), &6.into()));
    assert_eq!(done["instance"], "fresh");
    let times = ["first_byte_us", "duration_us"].map(|field| done[field].as_u64());
    let [Some(first), Some(all)] = times else {
        panic!("no times in {done}");
    };
    assert!(0 < first && first <= all, "{done}");
    assert!(done.get("tls_version").is_none(), "{done}");
    assert_eq!(
        (&trapped["number"], &trapped["cause"]),
        (&2.into(), &"trap".into())
    );
    assert!(trapped.get("first_byte_us").is_none(), "{trapped}");
}

#[test]
fn without_the_flag_there_is_none() {
    let _open = unchanged();
    let evconn = start(&["--log-format", "json"]);
    let address = evconn.address();
    echo(address);
    assert!(lines(&end(evconn)).is_empty());
}

/// Whichever process has served them.
#[test]
fn a_sample_is_each_nth_of_all() {
    let _open = unchanged();
    let flags = [
        "--access-log",
        "--access-log-sample",
        "3",
        "--log-format",
        "json",
    ];
    let evconn = start(&[&flags[..], &["--processes", "2"]].concat());
    let address = evconn.address();
    for _ in 0..7 {
        echo(address);
    }
    let numbers: Vec<_> = lines(&end(evconn))
        .into_iter()
        .map(|fields| fields["number"].as_u64())
        .collect();
    assert_eq!(numbers, [Some(3), Some(6)]);
}

#[test]
fn an_instance_that_serves_again_is_told_apart() {
    let _open = unchanged();
    let flags = ["--access-log", "--log-format", "json", "--processes", "1"];
    let evconn = start(&[&flags[..], &["--reuse", "10"]].concat());
    let address = evconn.address();
    for number in 1..=2 {
        echo(address);
        evconn.logged(&format!("\"number\":{number}"));
    }
    let instances: Vec<_> = lines(&end(evconn))
        .into_iter()
        .map(|fields| fields["instance"].clone())
        .collect();
    assert_eq!(instances, ["fresh", "reused"]);
}

/// What a peer causes to be logged is limited, and what fails is logged nevertheless.
#[test]
fn a_flood_is_within_the_log_budget() {
    const COUNT: usize = 300;
    let _open = unchanged();
    let evconn = start(&["--access-log", "--log-budget", "8K", "--processes", "1"]);
    let address = evconn.address();
    for _ in 0..COUNT {
        echo(address);
    }
    ends_in_reset(address, "error why\n");
    evconn.logged("connection failed");
    let log = end(evconn);
    let logged = log.matches("connection ended").count();
    assert!((1..COUNT / 2).contains(&logged), "{logged} lines");
    assert!(log.contains("lines were left out"), "{log}");
}

/// Those that are refused are logged once per second, as without the access log.
#[test]
fn refused_connections_are_not_among_them() {
    let _open = unchanged();
    let flags = [
        "--access-log",
        "--max-connections-per-peer",
        "1",
        "--log-format",
        "json",
    ];
    let evconn = start(&flags);
    let address = evconn.address();
    let first = echoing(address);
    let refused = TcpStream::connect_timeout(&address, DEADLINE)
        .and_then(|mut peer| peer.read_to_end(&mut Vec::new()));
    assert!(refused.is_err_and(|error| is_reset(&error)));
    drop(first);
    evconn.logged("\"cause\":\"done\"");
    let log = end(evconn);
    assert_eq!(lines(&log).len(), 1, "{log}");
    assert!(log.contains("has 1 connections already"), "{log}");
}
