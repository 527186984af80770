//! What peers of the endpoint may do to it, and to the server.

use super::{PROCESSES, Server};
use crate::support::descriptors::unchanged;
use crate::support::http::{response, with_headers};
use crate::support::peer::{ask, echoing};
use std::io::{Read, Write};

/// More than the endpoint serves at a time.
const MANY: usize = 100;

const GET: &str = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn scrapers_that_hang_are_cut_and_others_are_served() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let mut peer = echoing(server.address);
        let mut few: Vec<_> = (0..32).map(|_| server.admin.connect()).collect();
        for stream in few.iter_mut().step_by(2) {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\n")
                .expect("sent");
        }
        server.admin.get("/metrics").is(200);
        // So many that further ones wait until they are cut.
        let many: Vec<_> = (0..MANY).map(|_| server.admin.connect()).collect();
        ask(&mut peer, "still here\n", "still here\n");
        server.admin.get("/healthz").is(200);
        for mut stream in few {
            let mut rest = Vec::new();
            // In whatever way, before the deadline.
            let _ = stream.read_to_end(&mut rest);
            assert!(!rest.starts_with(b"HTTP/1.1 200"));
        }
        drop((many, peer));
        server.end();
    }
}

#[test]
fn a_thousand_scrapes_at_once_are_served() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let mut peer = echoing(server.address);
        let scrapes = (0..1000).map(|_| {
            let mut stream = server.admin.connect();
            stream.write_all(GET.as_bytes()).expect("sent");
            stream
        });
        let scrapes: Vec<_> = scrapes.collect();
        ask(&mut peer, "still here\n", "still here\n");
        for stream in scrapes {
            response(stream).is(200);
        }
        drop(peer);
        server.end();
    }
}

#[test]
fn requests_are_bounded() {
    let _open = unchanged();
    let server = Server::start("1");
    let long = "x".repeat((64 << 10) + 1);
    let refused = server.admin.post("/log-level", &long);
    assert!(refused.is(413).contains("65536 bytes"), "{refused:?}");
    let header = format!("host: localhost\r\nx: {}\r\n", "x".repeat(20 << 10));
    for nonsense in [
        &with_headers("GET", "/metrics", &header, "")[..],
        b"\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = server.admin.connect();
        stream.write_all(nonsense).expect("sent");
        let mut answer = Vec::new();
        // It may end in a reset, since not all was read.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{answer}");
    }
    server.admin.get("/healthz").is(200);
    server.end();
}

/// A scraper that goes away in the middle of everything.
#[test]
fn peers_that_are_gone_leave_nothing_behind() {
    let _open = unchanged();
    let server = Server::start("2");
    for request in [
        GET,
        "POST /reload HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET",
        "",
    ] {
        for _ in 0..50 {
            let mut stream = server.admin.connect();
            stream.write_all(request.as_bytes()).expect("sent");
        }
    }
    server.admin.get("/metrics").is(200);
    server.end();
}
