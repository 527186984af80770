//! The messages between the supervisor and the processes that it starts.

use crate::admin::{List, Query};
use crate::traces::Batch;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::IpAddr;

/// The order to a loader. Its descriptors are the inputs that the loader cannot read itself: standard input, pipes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    /// The command line, which says what is to be done.
    pub arguments: Vec<OsString>,
    /// Whether the log has colors.
    pub is_terminal: bool,
    /// For each input of the command line whether it is among the descriptors.
    pub given: Vec<bool>,
    /// Maximum number of instances at a time of a process that serves.
    pub instances: usize,
    /// Maximum memory, in bytes.
    pub memory: u64,
}

/// The outcome of a loader.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromLoader {
    /// Its descriptors are the compiled code of the component and that of the listener, and the component's binary
    /// if it is one.
    Loaded(Loaded),
    /// Its descriptors are the composition and a report about it.
    Composed,
    /// The reason why the component cannot be served, in one line.
    Failed(String),
}

/// A component that was loaded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Loaded {
    /// How many memories an instance has.
    pub memories: usize,
    /// Whether the binary is among the descriptors.
    pub has_binary: bool,
    /// The host that the code is for.
    pub target: Target,
}

/// What compiled code requires of the host that runs it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Whether instances come from a pool.
    pub pooled: bool,
    /// Whether they are of WASI 0.3, rather than of WASI 0.2.
    pub is_wasi_0_3: bool,
    /// Whether a connection may continue without an instance.
    pub gives_up_instances: bool,
}

/// The order to a worker. Its descriptors are [`StartFiles`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The command line of the server.
    pub arguments: Vec<OsString>,
    /// Whether the log has colors.
    pub is_terminal: bool,
    /// The worker's number in the shared memory.
    pub member: u16,
    /// Which part of the server's instances it has, of how many.
    pub part: usize,
    pub parts: usize,
    /// Maximum number of connections of this worker.
    pub capacity: usize,
    /// The host that the compiled code is for.
    pub target: Target,
    /// The certificate and its key, if there is one: a worker cannot read their files.
    pub certificate: Option<Pem>,
    /// The keys of session tickets, if there are any.
    pub ticket_keys: Option<Secret>,
    /// Whether it logs the parts of the sandbox that this system lacks: one worker is enough.
    pub tells_missing: bool,
    /// The number of listening sockets in the messages that follow.
    pub sockets: usize,
}

/// The positions of the descriptors of [`Start`]. The last one is optional.
pub struct StartFiles;

impl StartFiles {
    pub const MEMORY: usize = 0;
    pub const BELL: usize = 1;
    pub const CODE: usize = 2;
    pub const LISTENER: usize = 3;
    pub const BINARY: usize = 4;
}

/// A certificate with its chain, and its key, as PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pem {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// Shows no part of the key.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pem")
    }
}

/// Bytes that nobody else may see.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(pub Vec<u8>);

/// Shows no part of it.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A message to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    Start(Box<Start>),
    Sockets(Sockets),
    /// The next keys of session tickets.
    TicketKeys(Secret),
    /// Stop accepting once the queues are empty, and end when the last connection has ended. The queues of the sockets
    /// with these positions are left to other workers, as with [`Retire`](Self::Retire).
    Drain {
        left: Vec<usize>,
    },
    /// Stop accepting at once, since other workers accept from the same queues, and end when the last connection
    /// has ended.
    Retire,
    /// Reset the connections that are open, and end.
    Kill,
    /// The addresses of a name, or the reason why there are none.
    Resolved {
        id: u64,
        addresses: Result<Vec<IpAddr>, String>,
    },
    /// Answer a question.
    Ask {
        id: u64,
        question: Question,
    },
}

/// A question to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Question {
    /// Which connections are open?
    Connections(Query),
    /// Is there a connection with this number, which is then reset?
    Reset(u64),
    /// May the log have this filter from now on?
    SetLog(String),
}

/// The answer to a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    Connections(List),
    Reset(bool),
    SetLog,
}

/// Listening sockets, which are the descriptors: what is to be known of each.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sockets {
    pub about: Vec<AboutSocket>,
}

/// What is to be known of a listening socket.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AboutSocket {
    /// Whether the supervisor inherited it.
    pub inherited: bool,
    /// The port of a program's socket that its connections are for.
    pub port: Option<u16>,
}

/// A message from a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// It accepts connections.
    Ready,
    /// It could not start, or its listeners have failed: the reason, in one line.
    Failed(String),
    /// It has stopped accepting.
    Stopped,
    /// It needs the addresses of a name.
    Resolve { id: u64, name: String },
    /// The answer to a question.
    Answer { id: u64, answer: Answer },
    /// Connections have ended.
    Traces(Batch),
}
