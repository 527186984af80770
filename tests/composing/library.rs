//! `Composer` and `Program`, called from Rust.

use super::{COMPONENTS, ECHO_COMMAND, FILTER, LISTENER, run_component, with_components};
use crate::support::descriptors::{bound_to, unchanged};
use crate::support::{connect, exchange, host, within};
use crate::support::{connect_once_it_listens, free_port};
use evconn::{Composer, Error, Grants, LoadProblem, Program, guests};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

/// The echo server, granted this port of every interface.
fn echo_on(address: SocketAddr, component: &[u8]) -> Program {
    let port = address.port().to_string();
    let place = format!(":{port}").parse().expect("a place");
    let grants = Grants::builder().arg("echo").arg(port).listen(place);
    let program = Program::new(host(), component).expect("a program");
    program.with_grants(grants.build().expect("grants"))
}

#[test]
fn a_composition_says_what_it_is() {
    let _open = unchanged();
    let scratch = with_components();
    let composition = Composer::default()
        .through_file(scratch.join("filter.wasm"))
        .expect("a filter")
        .compose_file(scratch.join("app.wasm"))
        .expect("an application");
    assert_eq!(composition.linked(), LISTENER);
    assert!(composition.imports().is_sorted());
    assert!(!composition.imports().iter().any(|name| name == LISTENER));
    assert!(
        composition
            .imports()
            .iter()
            .any(|name| name == "wasi:sockets/tcp@0.2.12")
    );
    let composer = Composer::new().through(FILTER).expect("a filter");
    let same = composer.compose(ECHO_COMMAND).expect("an application");
    assert!(same.binary() == composition.into_binary());
    assert_eq!(scratch.contents(), COMPONENTS);
}

#[test]
fn a_program_can_tell_the_problems_apart() {
    let _open = unchanged();
    let problem = |result: Result<_, Error>| match result {
        Err(Error::Load(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(()) => panic!("it was taken"),
    };
    let missing = Path::new("/nothing/is/here");
    let composer = Composer::new();
    let error = problem(composer.compose_file(missing).map(drop));
    assert_eq!(error.path(), Some(missing));
    assert!(matches!(error.problem(), LoadProblem::Missing));
    let error = problem(Program::from_file(host(), missing).map(drop));
    assert_eq!(error.path(), Some(missing));
    assert!(matches!(error.problem(), LoadProblem::Missing));
    let error = problem(composer.compose(guests::LISTENER).map(drop));
    assert_eq!(error.path(), None);
    assert!(matches!(error.problem(), LoadProblem::ExportsListener));
    let error = problem(Composer::new().through(guests::ECHO).map(drop));
    assert!(matches!(error.problem(), LoadProblem::NoMiddleware));
    let error = problem(Program::new(host(), guests::ECHO).map(drop));
    assert!(matches!(error.problem(), LoadProblem::NoCommand(_)));
    let composed = composer.compose(ECHO_COMMAND).expect("a composition");
    let error = problem(composer.compose(composed.binary()).map(drop));
    assert!(matches!(error.problem(), LoadProblem::Composed));
}

#[tokio::test]
async fn a_program_returns_its_status() {
    let _open = unchanged();
    for (body, status) in [("i32.const 0", 0), ("i32.const 1", 1)] {
        let component = run_component(body);
        let program = Program::new(host(), component.as_bytes()).expect("a program");
        // Each run is another instance.
        for _ in 0..2 {
            assert_eq!(program.run().await.expect("no trap"), status);
        }
    }
    let component = run_component("unreachable");
    let program = Program::new(host(), component.as_bytes()).expect("a program");
    let error = program.run().await.expect_err("a trap");
    assert!(matches!(error, Error::Program(_)));
    assert_eq!(
        error.to_string(),
        "the program failed: wasm trap: wasm `unreachable` instruction executed"
    );
    let backtrace = error.backtrace().expect("a function was running");
    assert!(backtrace.starts_with("0: run at 0x"), "{backtrace}");
}

/// All of this runs on one thread: while the program waits, other tasks run.
#[tokio::test]
async fn a_program_that_waits_holds_nobody_up() {
    let _open = unchanged();
    let address = free_port();
    let program = echo_on(address, ECHO_COMMAND);
    let running = tokio::spawn(async move { program.run().await });
    let peer = connect_once_it_listens(address).await;
    assert_eq!(exchange(peer, b"hello").await, b"hello");
    running.abort();
    let ended = within("it ends", running).await;
    assert!(ended.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_dropped_leaves_nothing_open() {
    let _open = unchanged();
    let address = free_port();
    let composed = Composer::new().compose(ECHO_COMMAND).expect("composed");
    let program = echo_on(address, composed.binary());
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    let running = tokio::spawn(async move { program.run().await });
    connect_once_it_listens(address).await;
    let open = connect(address).await;
    assert_ne!(bound_to(everywhere), 0, "it listens");
    running.abort();
    let ended = within("it ends", running).await;
    assert!(ended.is_err_and(|error| error.is_cancelled()));
    assert_eq!(bound_to(everywhere), 0);
    // What it had accepted is closed, too: only the peer's socket has this address in this process.
    assert_eq!(bound_to(address), 0);
    drop(open);
    // Another test may have forked a process in the meantime, which still has the open descriptors.
    within("the address is free", async {
        while TcpListener::bind(everywhere).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
