//! Handlers of WASI 0.3, and in `programs` programs of it, served by `evconn serve`: how their connections end, what they know, and that limits,
//! timeouts, grants and the rest are those of all handlers.

mod bad_input;
mod crowd;
mod ends;
mod examples;
mod filters;
mod given_up;
mod ingress;
mod library;
mod limits;
mod operation;
mod programs;
mod shared;

use crate::support::descriptors::unchanged;
use crate::support::pattern;
use crate::support::peer::{connect, rest};
use crate::support::process::{EVCONN, Evconn};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;

/// The handler that does what its peer's first line says.
const ACTS: &str = evconn_artifacts::ASYNC_ACTS_PATH;

/// Sends this many bytes, and gets all of them back before the end.
fn gets_all_back(mut peer: TcpStream, count: usize) {
    let sent = pattern(count);
    let mut writer = peer.try_clone().expect("a descriptor");
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).expect("sent");
        writer.shutdown(Shutdown::Write).expect("ended");
        sent
    });
    let mut received = Vec::new();
    peer.read_to_end(&mut received).expect("a regular end");
    assert!(writing.join().expect("sent") == received, "other bytes");
}

/// A server.
struct Site {
    evconn: Evconn,
    address: SocketAddr,
}

impl Site {
    /// Serves in one worker process.
    fn start(flags: &[&str]) -> Self {
        Self::of(ACTS, &[&["--processes", "1"], flags].concat())
    }

    fn of(component: &str, flags: &[&str]) -> Self {
        Self::logging(component, flags, "info")
    }

    /// Serves with a log of this level.
    fn logging(component: &str, flags: &[&str], level: &str) -> Self {
        let mut command = Command::new(EVCONN);
        command
            .args(["serve", component, "--listen", "127.0.0.1:0"])
            .args(["--log-budget", "none"])
            .args(flags)
            .env("RUST_LOG", level);
        let evconn = Evconn::start_by(&mut command);
        let address = evconn.address();
        Self { evconn, address }
    }

    /// Begins an act.
    fn act(&self, act: &str) -> TcpStream {
        let mut peer = connect(self.address);
        peer.write_all(format!("{act}\n").as_bytes()).expect("sent");
        peer
    }

    /// What an act sends up to the end.
    fn all_of(&self, act: &str) -> String {
        rest(&mut self.act(act)).expect("a regular end")
    }

    /// What an act sends before the connection is reset.
    fn until_reset(&self, act: &str) -> String {
        let mut peer = self.act(act);
        let mut received = Vec::new();
        let error = peer.read_to_end(&mut received).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{act}: {error}");
        String::from_utf8(received).expect("text")
    }

    /// A new connection gets back what it sends.
    fn is_polite(&self) {
        let mut peer = self.act("echo");
        peer.write_all(b"hello").expect("sent");
        let mut back = [0; 5];
        peer.read_exact(&mut back).expect("an echo");
        assert_eq!(&back, b"hello");
        peer.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("a regular end"), "");
    }

    /// Ends the server. Returns its log.
    fn end(self) -> String {
        self.evconn.signal(Signal::TERM);
        let ended = self.evconn.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        ended.stderr
    }
}
