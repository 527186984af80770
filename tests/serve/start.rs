//! Signals during the start, which lasts as long as the test wants: the component is read from a pipe.

use super::{ask, connect};
use crate::support::descriptors::unchanged;
use crate::support::pipe::{pipe, writer};
use crate::support::process::{EVCONN, Evconn};
use crate::support::scratch::Scratch;
use evconn::guests;
use rustix::process::Signal;
use std::io::Write;
use std::path::Path;
use std::process::Command;

fn serving(app: &Path) -> Evconn {
    let mut command = Command::new(EVCONN);
    command
        .arg("serve")
        .arg(app)
        .args(["--listen", "127.0.0.1:0"]);
    Evconn::start_by(&mut command)
}

#[test]
fn signals_that_mean_no_end_do_not_end_it() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = pipe(&scratch);
    let evconn = serving(&path);
    let mut app = writer(&path);
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        evconn.signal(signal);
    }
    app.write_all(guests::ECHO).expect("written");
    drop(app);
    let address = evconn.address();
    // It still remembers to read the component again.
    writer(&path).write_all(guests::ECHO).expect("written");
    for signal in [Signal::USR1, Signal::USR2] {
        evconn.signal(signal);
    }
    let mut peer = connect(address);
    ask(&mut peer, "hello\n", "hello\n");
    drop(peer);
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_signal_that_means_the_end_ends_it_at_once() {
    let _open = unchanged();
    for signal in [Signal::TERM, Signal::INT] {
        let scratch = Scratch::new();
        let path = pipe(&scratch);
        let evconn = serving(&path);
        let app = writer(&path);
        evconn.signal(signal);
        let ended = evconn.wait();
        // There was nobody to serve.
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        let told = "stopped by a signal before serving";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        drop(app);
    }
}

#[test]
fn echo_has_no_use_for_them() {
    let _open = unchanged();
    let evconn = Evconn::start(&["echo", "0", "--address", "127.0.0.1"]);
    let address = evconn.address();
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        evconn.signal(signal);
    }
    let mut peer = connect(address);
    ask(&mut peer, "hello\n", "hello\n");
    drop(peer);
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}
