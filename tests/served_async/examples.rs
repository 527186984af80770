//! The examples by the guest library.

use super::{Site, unchanged};
use crate::support::peer::{ask, connect, rest};
use std::io::Write;
use std::net::Shutdown;

#[test]
fn http_connections_stay_open_until_one_side_ends_them() {
    let _open = unchanged();
    let site = Site::of(evconn_artifacts::ASYNC_HTTP_PATH, &["--processes", "1"]);
    let mut peer = connect(site.address);
    let answer = |body: &str, connection: &str, status: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n{body}"
        )
    };
    for path in ["/", "/again"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        let body = format!("You have asked for {path}\n");
        ask(&mut peer, &request, &answer(&body, "keep-alive", "200 OK"));
    }
    let last = "GET /last HTTP/1.1\r\nConnection: close\r\n\r\n";
    let body = "You have asked for /last\n";
    ask(&mut peer, last, &answer(body, "close", "200 OK"));
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    for (request, status) in [
        ("POST / HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("what\r\n\r\n", "400 Bad Request"),
    ] {
        let mut peer = connect(site.address);
        let expected = answer(&format!("{status}\n"), "close", status);
        ask(&mut peer, request, &expected);
        assert_eq!(rest(&mut peer).expect("a regular end"), "");
    }
    assert!(site.end().contains("0 failed"));
}

#[test]
fn a_proxy_forwards_both_ways_and_both_ends() {
    let _open = unchanged();
    let server = Site::of(evconn_artifacts::ASYNC_ECHO_PATH, &["--processes", "1"]);
    let address = server.address.to_string();
    let port = server.address.port().to_string();
    let arguments = ["--arg", "proxy", "--arg", "127.0.0.1", "--arg", &port];
    let flags = [&arguments[..], &["--processes", "1"]].concat();
    let granted = [&flags[..], &["--allow-connect", &address]].concat();
    let proxy = Site::of(evconn_artifacts::ASYNC_PROXY_PATH, &granted);
    let mut peer = connect(proxy.address);
    ask(&mut peer, "there and back", "there and back");
    peer.write_all(b"the last").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "the last");
    assert!(proxy.end().contains("0 failed"));
    let refused = Site::of(evconn_artifacts::ASYNC_PROXY_PATH, &flags);
    assert_eq!(refused.until_reset("hello"), "");
    assert!(
        refused
            .end()
            .contains("the service gave up: \"permission denied\"")
    );
    server.end();
}

#[test]
fn a_service_may_return_the_stream_that_it_was_given() {
    let _open = unchanged();
    let flags = ["--processes", "1"];
    let site = Site::of(evconn_artifacts::ASYNC_HAND_BACK_PATH, &flags);
    let mut peer = connect(site.address);
    ask(&mut peer, "there and back", "there and back");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    assert!(site.end().contains("0 failed"));
}
