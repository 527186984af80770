//! The end of the supervisor, and of the process that compiles.

use super::{TEST_GUEST, goes_on, is_lost, start};
use crate::support::descriptors::unchanged;
use crate::support::eventually;
use crate::support::peer::echoing;
use crate::support::process::{CACHE_HOME, EVCONN, Evconn};
use crate::support::scratch::Scratch;
use crate::support::workers::{Process, children, workers};
use rustix::process::Signal;
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// What compiles the component is called so in the list of processes.
const LOADER: &str = "evconn-loader";

#[test]
fn workers_end_with_their_supervisor() {
    let _open = unchanged();
    let evconn = start(3, &[]);
    let address = evconn.address();
    let mut peer = echoing(address);
    goes_on(&mut peer);
    let workers = workers(&evconn);
    evconn.signal(Signal::KILL);
    evconn.wait();
    is_lost(&mut peer);
    for worker in workers {
        // Whoever adopts it need not wait for it.
        eventually("a worker ends", || {
            (!worker.exists() || worker.is_zombie()).then_some(())
        });
    }
    drop(peer);
    // The threads of a worker may end after its first one has.
    eventually("nobody has the port any more", || {
        TcpListener::bind(address).ok()
    });
}

/// Serves a component that takes some seconds to compile, of which nothing is in the cache.
fn compiling(scratch: &Scratch) -> Evconn {
    let app = scratch.join("app.wat");
    std::fs::write(&app, super::large_component(20_000)).expect("written");
    let mut command = Command::new(EVCONN);
    command
        .arg("serve")
        .arg(&app)
        .args(["--listen", "127.0.0.1:0", "--processes", "2"])
        .env(CACHE_HOME, scratch.join("cache"))
        .stdin(Stdio::null());
    Evconn::start_by(&mut command)
}

fn loader(evconn: &Evconn) -> Process {
    eventually("something compiles", || {
        children(evconn)
            .into_iter()
            .find(|child| child.name() == LOADER)
    })
}

#[test]
fn a_start_fails_if_what_compiles_is_killed() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let evconn = compiling(&scratch);
    loader(&evconn).kill();
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let said = "evconn: the process that compiles the component was killed by signal 9 (SIGKILL)";
    assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
}

#[test]
fn what_compiles_ends_with_the_supervisor() {
    let _open = unchanged();
    for signal in [Signal::TERM, Signal::KILL] {
        let scratch = Scratch::new();
        let evconn = compiling(&scratch);
        let loader = loader(&evconn);
        evconn.signal(signal);
        evconn.wait();
        eventually("it ends", || {
            (!loader.exists() || loader.is_zombie()).then_some(())
        });
    }
}

/// As a shell passes what another command writes: `evconn serve <(make-it)`, or `evconn serve /dev/stdin`.
#[test]
fn a_component_may_come_from_a_descriptor() {
    let _open = unchanged();
    for path in ["/dev/stdin", "/dev/fd/7"] {
        let script = r#"exec "$@" 7<&0"#;
        let component = std::fs::File::open(TEST_GUEST).expect("opened");
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh", EVCONN, "serve", path])
            .args(["--listen", "127.0.0.1:0", "--processes", "2"])
            .stdin(component);
        let evconn = Evconn::start_by(&mut command);
        drop(echoing(evconn.address()));
        super::end(evconn);
    }
}
