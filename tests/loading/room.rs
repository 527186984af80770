//! Room for connections: what a host was made with, and what the machine has.

use super::LOCALHOST;
use super::command::{echoes, serve_limited};
use crate::support::alone::alone;
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{DEADLINE, host, listen};
use evconn::{Error, Limits, Service, Shutdown, guests};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_allows_no_more_than_the_host_was_made_for() {
    let _open = unchanged();
    let service = Service::new(host(), guests::ECHO).expect("a service");
    let default = Limits::default();
    let more_memory = Limits {
        max_memory: default.max_memory + 1,
        ..default
    };
    let more_elements = Limits {
        max_table_elements: default.max_table_elements + 1,
        ..default
    };
    let more_instances = Limits {
        max_core_instances: default.max_core_instances + 1,
        ..default
    };
    let more_memories = Limits {
        max_memories: default.max_memories + 1,
        ..default
    };
    let more_tables = Limits {
        max_tables: default.max_tables + 1,
        ..default
    };
    for (limits, name) in [
        (more_memories, "max_memories"),
        (more_tables, "max_tables"),
        (more_memory, "max_memory"),
        (more_elements, "max_table_elements"),
        (more_instances, "max_core_instances"),
    ] {
        let listener = listen(LOCALHOST).await;
        let served = evconn::serve(listener, service.clone(), limits, Shutdown::never()).await;
        let error = served.expect_err("there is no room");
        assert!(
            matches!(error, Error::LimitTooHigh { limit, .. } if limit == name),
            "{error}"
        );
    }
}

/// The echo service behind a chain of eight components, each of which has its own memory, three tables and
/// four core instances.
fn chain() -> String {
    super::echo_with(&format!(
        "(component $link
            (core module $main (memory 1) (table 1 funcref) (table 1 funcref) (table 1 funcref))
            (core module $helper)
            (core instance (instantiate $main))
            (core instance (instantiate $helper))
            (core instance (instantiate $helper))
            (core instance (instantiate $helper)))
        {}",
        "(instance (instantiate $link))".repeat(8)
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_eight_is_served_by_default() {
    let _open = unchanged();
    let service = Service::new(host(), chain().as_bytes()).expect("a service");
    assert_eq!(service.memories(), 9);
    assert_eq!(service.max_instances(), host().max_connections());
    super::echoes(service).await;
}

/// As many as it was made for at a time, each with all that it may have.
#[test]
fn no_connection_lacks_what_another_one_has() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("chain.wat");
    std::fs::write(&path, chain()).expect("written");
    let few = ["--max-connections", "20"];
    let evconn = serve_limited(&path, "true", &few);
    let _peers = open_at_once(&evconn, 20);
    let log = log_now(evconn);
    assert!(!log.contains("failed"), "{log}");
}

/// The address space of a process has not room for two hosts of this size.
#[cfg(target_os = "linux")]
#[test]
fn a_service_with_many_memories_has_fewer_connections() {
    let path = concat!(
        module_path!(),
        "::a_service_with_many_memories_has_fewer_connections"
    );
    alone(path, || {
        let limits = Limits {
            max_connections: 4_000,
            ..Limits::default()
        };
        let host = evconn::Host::builder()
            .limits(&limits)
            .build()
            .expect("a host");
        let simple = Service::new(&host, guests::ECHO).expect("a service");
        assert_eq!(simple.max_instances(), 4_000);
        let chain = Service::new(&host, chain().as_bytes()).expect("a service");
        assert_eq!(chain.max_instances(), 2_000);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let bound = evconn::Server::builder(&chain).limits(limits).bind().await;
            let error = bound.err().expect("there is no room").to_string();
            assert!(error.contains("9 memories, which allows 2000"), "{error}");
            let server = evconn::Server::builder(&simple).limits(limits).bind().await;
            let handle = server.expect("there is room").handle();
            handle.reload(&chain).expect_err("there is no room");
            handle.reload(&simple).expect("there is room");
        });
    });
}

#[test]
fn a_service_with_many_memories_lowers_the_limit_of_connections() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("chain.wat");
    std::fs::write(&path, chain()).expect("written");
    let evconn = serve_limited(&path, "true", &["--max-connections", "10000"]);
    let _peers = open_at_once(&evconn, 2);
    let log = log_now(evconn);
    assert!(
        log.contains("maximum number of connections lowered from 10000 to "),
        "{log}"
    );
}

fn echo_file(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.join("app.wasm");
    std::fs::write(&path, guests::ECHO).expect("written");
    path
}

fn log(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn too_few_descriptors_lower_the_limit_and_are_named() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let flags = "--processes 1 --max-connections 5000 --workers 2";
    let many: Vec<_> = flags.split(' ').collect();
    let evconn = serve_limited(&echo_file(&scratch), "ulimit -n 300", &many);
    echoes(&evconn);
    let log = log(evconn);
    let note = "maximum number of connections lowered from 5000 to 248: limit of 300 open files (ulimit -n)";
    assert!(log.contains(note), "{log}");
}

/// What is left fits into the pool.
#[cfg(target_os = "linux")]
#[test]
fn more_than_fit_into_the_address_space_are_lowered_to_what_does() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let many = ["--max-connections", "1000000"];
    let evconn = serve_limited(&echo_file(&scratch), "true", &many);
    echoes(&evconn);
    let log = log(evconn);
    assert!(
        log.contains("maximum number of connections lowered from 1000000 to "),
        "{log}"
    );
    assert!(log.contains("79 TiB of contiguous address space"), "{log}");
    assert!(!log.contains("address space for a pool"), "{log}");
}

#[test]
fn the_soft_limit_of_descriptors_is_raised() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let some = ["--max-connections", "150"];
    let evconn = serve_limited(
        &echo_file(&scratch),
        "ulimit -Sn 30 && ulimit -Hn 300",
        &some,
    );
    // More than the soft limit had let in.
    let _peers = open_at_once(&evconn, 100);
    let log = log_now(evconn);
    assert!(!log.contains("lowered"), "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn with_little_address_space_instances_are_made_one_by_one() {
    let _open = unchanged();
    let scratch = Scratch::new();
    // 2 GiB, in KiB: room for 64 connections.
    let evconn = serve_limited(
        &echo_file(&scratch),
        "ulimit -v 2097152",
        &["--processes", "1"],
    );
    let _peers = open_at_once(&evconn, 64);
    let log = log_now(evconn);
    for note in [
        "maximum number of connections lowered from 1000 to 64: limit of 2048 MiB of address space (ulimit -v)",
        "cannot reserve address space for a pool of 64 instances",
    ] {
        assert!(log.contains(note), "{log}");
    }
}

/// So many connections, all of them served.
fn open_at_once(evconn: &Evconn, count: usize) -> Vec<TcpStream> {
    let address = evconn.address();
    let connect = |_| {
        let mut peer = TcpStream::connect_timeout(&address, DEADLINE).expect("connected");
        peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        peer.write_all(b"x").expect("sent");
        peer.read_exact(&mut [0]).expect("an answer");
        peer
    };
    (0..count).map(connect).collect()
}

/// The log of one that need not wait for its connections.
fn log_now(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    evconn.signal(Signal::KILL);
    evconn.wait().stderr
}
