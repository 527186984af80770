//! Programs of WASI 0.3: composing and running them.

use super::{
    COMPONENTS, ECHO_COMMAND, FILTER, bad_input, command, evconn, read, says, with_components,
    write,
};
use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{Server, connect_once_it_listens, exchange, free_port, host, within};
use evconn::{Composer, Grants, Limits, Program, WasiVersion};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::AsyncReadExt;

const ASYNC_ECHO_COMMAND: &[u8] = evconn_artifacts::ASYNC_ECHO_COMMAND;
const ASYNC_SOCKETS: &[u8] = evconn_artifacts::ASYNC_SOCKETS;

/// A directory that has the echo server of WASI 0.3, too.
fn with_async_components() -> Scratch {
    let scratch = with_components();
    write(&scratch, "async.wasm", ASYNC_ECHO_COMMAND);
    scratch
}

/// It runs, and is an echo server.
async fn echoes(directory: &Scratch, app: &str) -> (Evconn, SocketAddr) {
    let address = free_port();
    let port = address.port().to_string();
    let listen = format!(":{port}");
    let evconn = evconn(directory, &["run", "--listen", &listen, app, &port]);
    let peer = connect_once_it_listens(address).await;
    assert_eq!(exchange(peer, b"hello").await, b"hello");
    (evconn, address)
}

#[tokio::test]
async fn a_composition_says_what_is_left_and_runs() {
    let _open = unchanged();
    let scratch = with_async_components();
    let said = says(&scratch, &["compose", "async.wasm"]);
    let head = "async.composed.wasm\nlinked: evconn:tcp/listener@0.3.0\nleft to import:\n";
    let left = said.strip_prefix(head).expect(&said);
    assert!(left.contains("  wasi:sockets/types@0.3.0\n"), "{said}");
    assert!(
        left.lines().all(|line| line.starts_with("  wasi:")),
        "{said}"
    );
    echoes(&scratch, "async.composed.wasm").await;
    let text = wasmprinter::print_file(scratch.join("async.composed.wasm")).expect("its text");
    write(&scratch, "async.wat", text);
    echoes(&scratch, "async.wat").await;
}

/// Many at a time, in its one instance, and with the timer of the program.
#[tokio::test]
async fn a_program_runs_without_being_composed_before() {
    let _open = unchanged();
    let scratch = with_async_components();
    let (evconn, address) = echoes(&scratch, "async.wasm").await;
    let peers = (0..10).map(async |number: u8| {
        let peer = crate::support::connect(address).await;
        assert_eq!(exchange(peer, &[number; 100_000]).await, [number; 100_000]);
    });
    futures_util::future::join_all(peers).await;
    drop(evconn);
    let port = free_port().port();
    let mut command = command(
        &scratch,
        &[
            "run",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "async.wasm",
            &port.to_string(),
            "0",
        ],
    );
    // It binds every interface, of which it is granted one.
    let ended = Evconn::start_by(&mut command).wait();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("cannot listen: "), "{}", ended.stderr);
}

/// A peer that sends nothing is told so, and let go.
#[tokio::test]
async fn its_timers_run() {
    let _open = unchanged();
    let scratch = with_async_components();
    let address = free_port();
    let port = address.port().to_string();
    let listen = format!(":{port}");
    let _evconn = evconn(
        &scratch,
        &["run", "--listen", &listen, "async.wasm", &port, "0"],
    );
    let mut peer = connect_once_it_listens(address).await;
    let mut said = String::new();
    within("the end", peer.read_to_string(&mut said))
        .await
        .expect("received");
    assert_eq!(said, "bye\n");
}

/// Without the listener, over `wasi:sockets` alone.
#[tokio::test]
async fn a_program_without_the_listener_runs() {
    let _open = unchanged();
    let scratch = Scratch::new();
    // The program takes its name for that of the case.
    write(&scratch, "listen::many_peers", ASYNC_SOCKETS);
    let flags = ["--listen", "127.0.0.1:0", "--allow-connect", "127.0.0.1:*"];
    let arguments = ["listen::many_peers", "127.0.0.1"];
    let said = says(&scratch, &[&["run"], &flags[..], &arguments].concat());
    assert!(
        said.ends_with("all of them, in their order: yes\n"),
        "{said}"
    );
}

#[tokio::test]
async fn a_program_says_what_it_is() {
    let _open = unchanged();
    let composition = Composer::new()
        .compose(ASYNC_ECHO_COMMAND)
        .expect("composed");
    assert_eq!(composition.linked(), "evconn:tcp/listener@0.3.0");
    let program = Program::new(host(), composition.binary()).expect("a program");
    assert_eq!(program.wasi(), WasiVersion::V0_3);
    let program = Program::new(host(), ECHO_COMMAND).expect("a program");
    assert_eq!(program.wasi(), WasiVersion::V0_2);
    // It may not listen: that is its failure.
    let program = Program::new(host(), ASYNC_ECHO_COMMAND).expect("a program");
    let grants = Grants::builder().arg("echo").build().expect("grants");
    assert_eq!(program.with_grants(grants).run().await.expect("no trap"), 1);
}

/// It is composed when it is loaded, and has an instance for each connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_with_the_listener_is_served() {
    let _open = unchanged();
    let ip = Ipv4Addr::LOCALHOST.into();
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = Server::start(ip, ASYNC_ECHO_COMMAND, limits).await;
    // An instance that waits for another connection is over, so that the next one has its place.
    for text in [b"one", b"two"] {
        let peer = crate::support::connect(server.address).await;
        assert_eq!(exchange(peer, text).await, text);
    }
    let served = server.stop().await;
    assert_eq!(served.failed, 0);
}

#[test]
fn what_cannot_be_composed_is_told_why() {
    let _open = unchanged();
    let scratch = with_async_components();
    let both = r#"(component
        (import "evconn:tcp/listener@0.1.0" (instance))
        (import "evconn:tcp/listener@0.3.0" (instance)))"#;
    write(&scratch, "both.wat", both);
    let compose =
        |arguments: &[&str]| bad_input(evconn(&scratch, &[&["compose"], arguments].concat()));
    assert_eq!(
        compose(&["both.wat"]),
        "both.wat: it imports the listener of several versions: build it for one version of WASI, with \
         evconn:tcp/listener@0.1.0 or evconn:tcp/listener@0.3.0"
    );
    assert_eq!(
        compose(&["async.wasm", "--through", "filter.wasm"]),
        "async.wasm: it imports evconn:tcp/listener@0.3.0, and is to be composed with evconn:tcp/listener@0.1.0: build \
         both for one version of WASI"
    );
    says(&scratch, &["compose", "async.wasm"]);
    assert_eq!(
        compose(&["async.composed.wasm"]),
        "async.composed.wasm: it has been composed already: the listener is in it"
    );
    assert!(read(&scratch, "filter.wasm") == FILTER);
    let before = [
        &["async.composed.wasm", "async.wasm"],
        &COMPONENTS[..],
        &["both.wat"],
    ]
    .concat();
    let mut before = before;
    before.sort_unstable();
    assert_eq!(scratch.contents(), before);
}
