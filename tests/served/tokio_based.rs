//! Servers of tokio, and what is built on it: axum, and a published server, mini-redis.

use super::echo::is_an_echo_server;
use super::{LONG, end, serve};
use crate::support::descriptors::unchanged;
use crate::support::tool;
use std::net::SocketAddr;
use std::process::Command;

#[test]
fn one_of_tokio() {
    let _open = unchanged();
    if let Some(evconn) = serve("tokio-echo", &LONG) {
        is_an_echo_server(evconn);
    }
}

/// Both requests come by one connection.
#[test]
fn one_of_axum() {
    let _open = unchanged();
    let Some(evconn) = serve("axum", &LONG) else {
        return;
    };
    let url = format!("http://{}/", evconn.address());
    let mut curl = Command::new("curl");
    let Some(output) = tool::run(curl.args(["-sS", "--max-time", "60", &url, &url]), b"") else {
        return;
    };
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((&*said, &*errors), ("Hello, World!Hello, World!", ""));
    let log = end(evconn);
    assert!(
        log.contains("served 1 connection, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

/// Nobody sees what others have stored.
#[test]
fn mini_redis() {
    let _open = unchanged();
    let Some(evconn) = serve("mini-redis", &LONG) else {
        return;
    };
    let address = evconn.address();
    let ask = |commands: &str| redis(address, commands);
    let Some(said) = ask("set town Lund\nget town\n") else {
        return;
    };
    assert_eq!(said, "OK\nLund\n");
    assert_eq!(ask("get town\n").expect("it is installed"), "\n");
    let log = end(evconn);
    assert!(
        log.contains("served 2 connections, of which 0 were refused, 0 failed"),
        "{log}"
    );
}

/// As natively: all clients have the same keys.
#[test]
fn mini_redis_in_one_instance() {
    let _open = unchanged();
    let flags = ["--instances", "1", "--concurrency", "100"];
    let Some(evconn) = serve("mini-redis", &[&flags[..], &LONG].concat()) else {
        return;
    };
    let address = evconn.address();
    let Some(said) = redis(address, "set town Lund\n") else {
        return;
    };
    assert_eq!(said, "OK\n");
    let said = redis(address, "get town\n");
    assert_eq!(said.expect("it is installed"), "Lund\n");
    end(evconn);
}

fn redis(address: SocketAddr, commands: &str) -> Option<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut client = Command::new("redis-cli");
    let output = tool::run(client.args(["-h", &host, "-p", &port]), commands.as_bytes())?;
    assert_eq!(text(&output.stderr), "");
    Some(text(&output.stdout))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
