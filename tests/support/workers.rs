//! Processes as Linux shows them: the workers of a server, and which of them has a connection.

use super::eventually;
use super::process::Evconn;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};

/// What workers are called in the list of processes.
pub const WORKER: &str = "evconn-worker";

/// A process. Another one that gets its number later is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: Pid,
    /// When it was started, in ticks since the machine was.
    since: String,
}

/// The fields of a process that begin after its name, which may contain anything.
struct Fields(Vec<String>);

impl Fields {
    fn of(pid: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = text.rsplit_once(") ")?;
        Some(Self(fields.split(' ').map(str::to_owned).collect()))
    }

    fn state(&self) -> &str {
        &self.0[0]
    }

    fn parent(&self) -> &str {
        &self.0[1]
    }

    fn since(&self) -> &str {
        &self.0[19]
    }
}

impl Process {
    pub fn of(pid: Pid) -> Option<Self> {
        let since = Fields::of(pid)?.since().to_owned();
        Some(Self { pid, since })
    }

    pub fn id(&self) -> Pid {
        self.pid
    }

    /// Whether it exists, if only as a zombie.
    pub fn exists(&self) -> bool {
        self.fields().is_some()
    }

    fn fields(&self) -> Option<Fields> {
        Fields::of(self.pid).filter(|fields| fields.since() == self.since)
    }

    pub fn is_zombie(&self) -> bool {
        self.fields().is_some_and(|fields| fields.state() == "Z")
    }

    pub fn is_stopped(&self) -> bool {
        self.fields().is_some_and(|fields| fields.state() == "T")
    }

    /// Its name in the list of processes.
    pub fn name(&self) -> String {
        self.file("comm").trim_end().to_owned()
    }

    /// Its command line, as `ps` shows it.
    pub fn command(&self) -> String {
        self.file("cmdline")
            .trim_end_matches('\0')
            .replace('\0', " ")
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid));
        let tasks = tasks.into_iter().flatten().flatten();
        let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")));
        let mut names: Vec<_> = names.flatten().map(|name| name.trim_end().into()).collect();
        names.sort();
        names
    }

    /// A field of its `/proc/PID/status`.
    pub fn status(&self, field: &str) -> String {
        let text = self.file("status");
        let mut lines = text.lines().filter_map(|line| line.split_once(":\t"));
        let found = lines.find(|(name, _)| *name == field);
        let (_, value) = found.unwrap_or_else(|| panic!("no {field} in {text}"));
        value.to_owned()
    }

    /// A file that is there for each process: empty if it is gone.
    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        // It may have ended already, which is no error.
        let _ = kill_process(self.pid, signal);
    }

    /// Stops it, and waits until it has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        eventually("it stops", || self.is_stopped().then_some(()));
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.ends();
    }

    /// Waits until it is gone, and its parent knows.
    pub fn ends(&self) {
        let what = format!("{} {} ends", self.name(), self.pid);
        eventually(&what, || (!self.exists()).then_some(()));
    }

    pub fn children(&self) -> Vec<Self> {
        let parent = self.pid.to_string();
        let entries = fs::read_dir("/proc").expect("the list of processes");
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_child = |pid: &Pid| Fields::of(*pid).is_some_and(|fields| fields.parent() == parent);
        let children = numbers.filter_map(Pid::from_raw).filter(is_child);
        children.filter_map(Self::of).collect()
    }

    /// What its descriptors are: names of files, or such as `socket:[4711]`.
    pub fn descriptors(&self) -> Vec<String> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid));
        let open = open.into_iter().flatten().flatten();
        let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.map(|it| it.to_string_lossy().into_owned()).collect()
    }

    /// Whether it has this socket.
    fn has(&self, inode: &str) -> bool {
        self.descriptors().contains(&format!("socket:[{inode}]"))
    }

    /// How many sockets it has.
    pub fn sockets(&self) -> usize {
        let descriptors = self.descriptors();
        let sockets = descriptors
            .iter()
            .filter(|name| name.starts_with("socket:"));
        sockets.count()
    }

    /// Whether it has the other end of this connection over IPv4.
    pub fn serves(&self, peer: &TcpStream) -> bool {
        inode(peer).is_some_and(|inode| self.has(&inode))
    }
}

/// Returns the processes that a server has started.
pub fn children(evconn: &Evconn) -> Vec<Process> {
    supervisor(evconn).children()
}

pub fn supervisor(evconn: &Evconn) -> Process {
    Process::of(evconn.id()).expect("it runs")
}

/// Returns the workers of a server, without those that are being started.
pub fn workers(evconn: &Evconn) -> Vec<Process> {
    let mut all = children(evconn);
    all.retain(|child| child.name() == WORKER && !child.is_zombie());
    all
}

/// Waits until a server has this many workers, and returns them.
pub fn wait_for_workers(evconn: &Evconn, count: usize) -> Vec<Process> {
    eventually(&format!("it has {count} workers"), || {
        Some(workers(evconn)).filter(|all| all.len() == count)
    })
}

/// Returns the worker that has the other end of this connection, as soon as one has.
pub fn worker_with(evconn: &Evconn, peer: &TcpStream) -> Process {
    eventually("a worker has the connection", || {
        workers(evconn)
            .into_iter()
            .find(|worker| worker.serves(peer))
    })
}

/// Returns how many of these connections each worker has, of those that have any.
pub fn spread(evconn: &Evconn, peers: &[TcpStream]) -> Vec<usize> {
    let workers = peers.iter().map(|peer| worker_with(evconn, peer).pid);
    let workers: Vec<_> = workers.collect();
    let different: BTreeSet<_> = workers.iter().map(|pid| pid.as_raw_nonzero()).collect();
    let count = |pid| {
        workers
            .iter()
            .filter(|of| of.as_raw_nonzero() == pid)
            .count()
    };
    different.into_iter().map(count).collect()
}

/// The number by which the kernel knows the other end of a connection over IPv4.
fn inode(peer: &TcpStream) -> Option<String> {
    let local = hex(peer.peer_addr().ok()?)?;
    let remote = hex(peer.local_addr().ok()?)?;
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let rows = table.lines().map(|line| line.split_whitespace().collect());
    let mut rows = rows.filter(|row: &Vec<_>| row.len() > 9 && row[1] == local && row[2] == remote);
    rows.next().map(|row| row[9].to_owned())
}

/// An address as the kernel's table of connections has it.
fn hex(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V4(address) => {
            let number = u32::from_ne_bytes(address.ip().octets());
            Some(format!("{number:08X}:{:04X}", address.port()))
        }
        SocketAddr::V6(_) => None,
    }
}
