//! Who may do what, and what the endpoint may listen on.

use super::{PROCESSES, Server, TEST_GUEST, command, ends_well};
use crate::support::descriptors::unchanged;
use crate::support::http::{Admin, name_of, over_unix, with_headers};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

const EVERYTHING: [(&str, &str); 10] = [
    ("GET", "/"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/status"),
    ("GET", "/connections"),
    ("POST", "/connections/1/reset"),
    ("POST", "/drain"),
    ("POST", "/reload"),
    ("POST", "/log-level"),
];

#[test]
fn the_network_may_read_metrics_and_probes() {
    let _open = unchanged();
    for processes in PROCESSES {
        let flags = ["--admin", "0.0.0.0:0"];
        let mut server = Server::start_with(TEST_GUEST, processes, &flags);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, server.admin.0.port()));
        server.admin = Admin(local);
        for (method, path) in EVERYTHING {
            // As a scraper elsewhere names it.
            let answer = server
                .admin
                .request_with(method, path, "host: example.org\r\n", "");
            match path {
                "/metrics" | "/healthz" | "/readyz" => drop(answer.is(200)),
                _ => assert!(answer.is(403).contains("loopback"), "{answer:?}"),
            }
        }
        assert!(server.evconn.is_running());
        server.end();
    }
}

#[test]
fn a_page_of_another_site_may_do_nothing() {
    let _open = unchanged();
    let server = Server::start("1");
    let own = format!("host: {}\r\n", server.admin.0);
    let refused = |headers: &str| {
        for (method, path) in EVERYTHING.iter().filter(|(method, _)| *method == "POST") {
            let answer = server.admin.request_with(method, path, headers, "");
            assert_eq!(answer.is(403).lines().count(), 1, "{answer:?}");
        }
    };
    refused(&format!("{own}origin: http://example.org\r\n"));
    refused(&format!("{own}origin: null\r\n"));
    refused(&format!("{own}sec-fetch-site: cross-site\r\n"));
    // Its name was made to stand for this machine.
    let rebound =
        "host: example.org\r\norigin: http://example.org\r\nsec-fetch-site: same-origin\r\n";
    refused(rebound);
    refused("");
    for (method, path) in EVERYTHING.iter().filter(|(method, _)| *method == "GET") {
        server
            .admin
            .request_with(method, path, "host: example.org\r\n", "")
            .is(403);
    }
    let same = format!("{own}origin: http://{}\r\n", server.admin.0);
    server
        .admin
        .request_with("POST", "/log-level", &same, "info")
        .is(200);
    server.end();
}

#[test]
fn a_unix_socket_is_its_owner_s_and_goes_with_the_server() {
    let _open = unchanged();
    for processes in PROCESSES {
        let scratch = Scratch::new();
        let path = scratch.join("admin.sock");
        let source = format!("unix:{}", path.display());
        let flags = ["--admin", &source];
        let evconn = Evconn::start_by(&mut command(TEST_GUEST, processes, &flags));
        assert_eq!(name_of(&evconn), source);
        evconn.address();
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let host = "host: anything\r\n";
        let get = |path_of| over_unix(&path, &with_headers("GET", path_of, host, ""));
        assert_eq!(get("/readyz").is(200), "ready\n");
        assert_eq!(get("/connections").json()["open"], 0);
        over_unix(&path, &with_headers("POST", "/log-level", host, "warn")).is(200);
        evconn.signal(Signal::TERM);
        ends_well(evconn);
        assert_eq!(scratch.contents(), [""; 0]);
    }
}

#[test]
fn an_address_in_use_is_one_line_and_nothing_starts() {
    let _open = unchanged();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let taken = (taken.local_addr().expect("an address").to_string(), taken);
    for processes in PROCESSES {
        let serve = ["serve", TEST_GUEST, "--listen", "127.0.0.1:0"];
        let echo = ["echo", "0", "--address", "127.0.0.1"];
        for (command, status) in [(&serve[..], 2), (&echo[..], 1)] {
            let flags = ["--processes", processes, "--admin", &taken.0];
            let ended = Evconn::run(&[command, &flags].concat());
            assert_eq!(ended.status.code(), Some(status), "{}", ended.stderr);
            assert_eq!(ended.stdout, "");
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
            assert!(ended.stderr.contains("--admin"), "{}", ended.stderr);
            assert!(ended.stderr.contains("in use"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_bad_source_says_what_would_be_right() {
    let _open = unchanged();
    for (source, hint) in [
        ("fd:3", "unix:PATH"),
        ("unix:@admin", "mode 600"),
        ("unix:/run/admin.sock,mode=666", "leave out ,mode="),
        ("9000", "9000"),
    ] {
        let ended = Evconn::run(&["echo", "0", "--admin", source]);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    }
}

/// A component that cannot be served leaves no file of the endpoint.
#[test]
fn a_server_that_does_not_start_leaves_no_socket() {
    let _open = unchanged();
    for processes in PROCESSES {
        let scratch = Scratch::new();
        let app = scratch.join("app.wasm");
        std::fs::write(&app, "no component").expect("written");
        let source = format!("unix:{}", scratch.join("admin.sock").display());
        let app = app.to_str().expect("text");
        let flags = ["serve", app, "--listen", "127.0.0.1:0"];
        let more = ["--processes", processes, "--admin", &source];
        let ended = Evconn::run(&[flags, more].concat());
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert_eq!(scratch.contents(), ["app.wasm"]);
    }
}
