//! A service gets what it is granted, and nothing else.

mod command;
mod files;
mod network;
mod printed;
mod resources;

use crate::support::descriptors::unchanged;
use crate::support::{DEADLINE, Server, TEST_GUEST, exchange, host};
use evconn::{Grants, GrantsBuilder, Limits, Service};
use std::net::{IpAddr, Ipv4Addr};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server whose service is granted this.
async fn start(grants: GrantsBuilder) -> Server {
    let grants = grants.build().expect("grants");
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let service = service.with_grants(grants);
    Server::start_service(LOCALHOST, service, Limits::default(), DEADLINE).await
}

/// What a connection of its own gets for this command.
async fn answer(server: &Server, command: &str) -> String {
    let request = format!("{command}\n");
    let answer = exchange(server.connect().await, request.as_bytes()).await;
    String::from_utf8(answer).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_and_arguments_are_those_that_are_granted() {
    let _open = unchanged();
    let grants = Grants::builder()
        .env("FIRST", "1")
        .env("SECOND", "a=b")
        .env("FIRST", "one")
        .arg("--verbose")
        .arg("")
        .arg("two words");
    let server = start(grants).await;
    // Each instance gets them.
    for _ in 0..2 {
        assert_eq!(answer(&server, "env").await, "FIRST=one\nSECOND=a=b\n");
        assert_eq!(answer(&server, "args").await, "--verbose\n\ntwo words\n");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_grants_there_is_nothing() {
    let _open = unchanged();
    let server = start(Grants::builder()).await;
    for (command, expected) in [
        ("env", ""),
        ("args", ""),
        ("ls /", "no-entry\n"),
        ("resolve localhost", "permanent-resolver-failure\n"),
        ("connect 127.0.0.1 80 hello", "access-denied\n"),
    ] {
        assert_eq!(answer(&server, command).await, expected, "{command}");
    }
    server.stop().await;
}
