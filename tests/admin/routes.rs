//! What there is.

use super::{PROCESSES, Server};
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::{connect, echoing, rest};
use crate::support::tool;
use crate::support::workers::worker_with;
use rustix::process::Signal;
use std::io::Write;
use std::process::Command;

#[test]
fn probes_say_that_it_is_ready() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let health = server.admin.get("/healthz");
        assert_eq!(health.is(200), "ok\n");
        assert_eq!(server.admin.get("/readyz").is(200), "ready\n");
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(health.header(name), Some(value), "{health:?}");
        }
        assert_eq!(server.admin.request("HEAD", "/readyz", "").is(200), "");
        let log = server.end();
        // A probe costs no instance.
        assert!(log.contains("served 0 connections"), "{log}");
    }
}

#[test]
fn metrics_are_those_of_all_processes() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let peers: Vec<_> = (0..5).map(|_| echoing(server.address)).collect();
        let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        for (accepted, content_type, is_ended) in [
            ("*/*", "text/plain; version=0.0.4; charset=utf-8", false),
            (open_metrics, open_metrics, true),
        ] {
            let headers = format!("host: localhost\r\naccept: {accepted}\r\n");
            let metrics = server.admin.request_with("GET", "/metrics", &headers, "");
            let text = metrics.is(200);
            assert_eq!(metrics.header("content-type"), Some(content_type));
            assert!(
                text.contains("\nevconn_connections_accepted_total 5\n"),
                "{text}"
            );
            assert!(text.contains("\nevconn_connections_open 5\n"), "{text}");
            assert_eq!(text.ends_with("\n# EOF\n"), is_ended, "{text}");
        }
        drop(peers);
        server.end();
    }
}

#[test]
fn connections_are_listed_with_what_they_have_transferred() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        let peer = echoing(server.address);
        let waiting = connect(server.address);
        // The peer has the bytes before they are counted.
        let row = eventually("its bytes are counted", || {
            Some(server.row(&peer)).filter(|row| row["sent"] == "hello\n".len())
        });
        assert_eq!(row["listener"], server.address.to_string());
        assert_eq!(row["state"], "handling");
        assert_eq!(row["instance"], "own");
        assert_eq!(row["received"], "echo\nhello\n".len());
        assert!(row["age"].as_f64().is_some_and(|age| age > 0.0), "{row}");
        assert_eq!(row["worker"].is_null(), processes == "0", "{row}");
        assert_eq!(server.row(&waiting)["received"], 0);
        let all = server.admin.get("/connections?sort=received&limit=1");
        assert_eq!(all.header("content-type"), Some("application/json"));
        let all = all.json();
        assert_eq!(all["open"], 2);
        assert_eq!(all["connections"].as_array().map(Vec::len), Some(1));
        assert_eq!(all["connections"][0]["number"], row["number"]);
        let oldest = server.admin.get("/connections?limit=1").json();
        assert_eq!(oldest["connections"][0]["number"], row["number"]);
        drop((peer, waiting));
        server.end();
    }
}

#[test]
fn a_stopped_worker_is_missing_and_holds_nobody_up() {
    let _open = unchanged();
    let server = Server::start("2");
    let mut peers = vec![echoing(server.address)];
    let stopped = worker_with(&server.evconn, &peers[0]);
    eventually("another worker serves somebody", || {
        peers.push(echoing(server.address));
        peers
            .last()
            .filter(|peer| !stopped.serves(peer))
            .map(|_| ())
    });
    let worker = server.row(&peers[0])["worker"].clone();
    let all = server.admin.get("/connections").json();
    stopped.stop();
    let without = server.admin.get("/connections").json();
    assert_eq!(without["missing"], serde_json::json!([worker]));
    assert!(without["open"].as_u64() < all["open"].as_u64(), "{without}");
    assert!(without["open"].as_u64() > Some(0), "{without}");
    // Nor does it when nothing was found.
    let unknown = server.admin.post("/connections/4711/reset", "");
    assert!(
        unknown.is(504).contains(&format!("worker {worker}")),
        "{unknown:?}"
    );
    stopped.signal(Signal::CONT);
    let again = server.admin.get("/connections").json();
    assert_eq!(again["missing"], serde_json::json!([]));
    assert_eq!(again["open"], all["open"]);
    drop(peers);
    server.end();
}

#[test]
fn what_is_not_there_is_refused_with_one_line() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        for (method, path, status, line, allow) in [
            ("GET", "/page", 404, "no such page", None),
            ("POST", "/", 405, "use GET", Some("GET, HEAD")),
            ("POST", "/connections/x/reset", 404, "no such page", None),
            (
                "POST",
                "/connections/4711/reset",
                404,
                "has the number 4711",
                None,
            ),
            ("GET", "/connections/1/reset", 405, "use POST", Some("POST")),
            ("POST", "/metrics", 405, "use GET", Some("GET, HEAD")),
            ("DELETE", "/connections", 405, "use GET", Some("GET, HEAD")),
            ("GET", "/drain", 405, "use POST", Some("POST")),
            ("GET", "/connections?limit=0", 400, "from 1 to 10000", None),
            (
                "GET",
                "/connections?sort=peer",
                400,
                "age, received or sent",
                None,
            ),
        ] {
            let refused = server.admin.request(method, path, "");
            let text = refused.is(status);
            assert!(
                text.contains(line) && text.lines().count() == 1,
                "{refused:?}"
            );
            assert_eq!(refused.header("allow"), allow, "{refused:?}");
        }
        server.end();
    }
}

#[test]
fn the_last_warnings_and_errors_are_told() {
    let _open = unchanged();
    for processes in PROCESSES {
        let server = Server::start(processes);
        assert_eq!(
            server.admin.get("/log").json()["records"],
            serde_json::json!([])
        );
        let mut peer = connect(server.address);
        peer.write_all(b"trap\n").expect("sent");
        rest(&mut peer).expect_err("a reset");
        let record = eventually("it is told", || {
            server.admin.get("/log").json()["records"].get(0).cloned()
        });
        assert_eq!(record["level"], "WARN", "{record}");
        let text = record["text"].as_str().expect("a text");
        assert!(
            text.contains("wasm trap") && text.contains("number=1"),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
        let log = server.end();
        assert!(
            log.contains(record["time"].as_str().expect("a time")),
            "{log}"
        );
    }
}

#[test]
fn curl_reads_it() {
    let _open = unchanged();
    let server = Server::start("1");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-i", &format!("http://{}/readyz", server.admin.0)]);
    if let Some(output) = tool::run(&mut curl, b"") {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nready\n"), "{text}");
    }
    server.end();
}
