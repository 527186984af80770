//! Hostile guests and peers: beside them a polite connection gets its echo, the server goes on, nothing of them
//! is left, and the log says what became of them. `evconn-bench hostile` measures how long the echo takes.

mod accounts;
mod acts;
mod peers;
mod start;
mod traps;

use crate::support::peer::{ask, connect, reset};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::workers::{Process, wait_for_workers};
use crate::support::{eventually, pattern};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The service that does what its peer's first line says.
const HOSTILE: &str = evconn_artifacts::HOSTILE_PATH;

/// How many hostile connections there are at a time.
const HOSTILE_PEERS: usize = 8;

/// A server with one worker, which is to be as it was when the hostile connections are gone.
struct Site {
    evconn: Evconn,
    address: SocketAddr,
    worker: Process,
    /// The descriptors of its worker before the first connection.
    descriptors: usize,
}

impl Site {
    fn start(component: &str, flags: &[&str]) -> Self {
        let listen = ["serve", component, "--listen", "127.0.0.1:0"];
        // Without a log budget, what becomes of each connection is in the log.
        let always = ["--processes", "1", "--log-budget", "none"];
        let evconn = Evconn::start(&[&listen[..], &always, flags].concat());
        let address = evconn.address();
        let worker = wait_for_workers(&evconn, 1).remove(0);
        let descriptors = descriptors(&worker);
        Self {
            evconn,
            address,
            worker,
            descriptors,
        }
    }

    /// Opens connections that have begun an act.
    fn act(&self, act: &str) -> Vec<TcpStream> {
        let begin = |_| {
            let mut peer = connect(self.address);
            ask(&mut peer, &format!("{act}\n"), "ok\n");
            peer
        };
        (0..HOSTILE_PEERS).map(begin).collect()
    }

    /// A new connection gets every byte back.
    fn is_polite(&self) {
        let mut peer = connect(self.address);
        ask(&mut peer, "echo\n", "ok\n");
        echoes(&mut peer);
    }

    /// Waits until nothing is left of its connections.
    fn is_as_before(&self) {
        eventually("its worker has no more descriptors than before", || {
            (descriptors(&self.worker) <= self.descriptors).then_some(())
        });
    }

    /// How many lines of the log contain this.
    fn told(&self, what: &str) -> usize {
        let log = self.evconn.log_so_far();
        log.lines().filter(|line| line.contains(what)).count()
    }

    /// Ends the server, which still has its worker and nothing else, and returns its log.
    fn end(self) -> String {
        self.is_as_before();
        assert!(self.worker.exists(), "its worker was replaced");
        self.evconn.signal(Signal::TERM);
        let ended = self.evconn.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!self.worker.exists(), "its worker is left");
        ended.stderr
    }
}

/// Returns how many descriptors a process has that connections may leave behind: not compiled code, and not what
/// wakes threads or measures memory, some of which is made when it is first needed.
fn descriptors(process: &Process) -> usize {
    const KEPT: [&str; 3] = ["/memfd:", "/proc/", "anon_inode:"];
    let is_kept = |it: &String| KEPT.iter().any(|kept| it.starts_with(kept));
    let all = process.descriptors();
    all.iter().filter(|it| !is_kept(it)).count()
}

/// More than one read of the service returns, byte by byte what was sent.
fn echoes(peer: &mut TcpStream) {
    for part in pattern(32 << 10).chunks(4096) {
        peer.write_all(part).expect("sent");
        let mut back = vec![0; part.len()];
        peer.read_exact(&mut back).expect("an echo");
        assert!(back == part, "other bytes came back");
    }
}

/// A directory for hoarders of files, and the flags that grant it, and sockets.
fn granted() -> (Scratch, Vec<String>) {
    let scratch = Scratch::new();
    let directory = scratch.join("granted");
    std::fs::create_dir(&directory).expect("a directory");
    let grant = format!("{}::/granted", directory.display());
    let flags = ["--dir", &grant, "--inherit-network"].map(str::to_owned);
    (scratch, flags.to_vec())
}
