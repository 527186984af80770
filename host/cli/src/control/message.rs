//! The messages.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::IpAddr;

/// What a loader is to load. With it comes the component, if that was on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    /// The command line of the server.
    pub arguments: Vec<OsString>,
    /// Whether the log has colors.
    pub is_terminal: bool,
}

/// The outcome of a loader.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromLoader {
    /// With it come the compiled code of the component and of the listener, and the component's binary if it is
    /// one.
    Loaded(Loaded),
    /// Why the component cannot be served, in one line.
    Failed(String),
}

/// A component that was loaded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Loaded {
    /// How many memories an instance has.
    pub memories: usize,
    /// Whether the binary comes, too.
    pub has_binary: bool,
}

/// What a worker is to do. The descriptors that come with it are [`StartFiles`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The command line of the server.
    pub arguments: Vec<OsString>,
    /// Whether the log has colors.
    pub is_terminal: bool,
    /// The worker's number in the shared memory.
    pub member: u16,
    /// Maximum number of connections of the server.
    pub max_connections: usize,
    /// Maximum number of connections of this worker.
    pub capacity: usize,
    /// The certificate and its key, if there is one: a worker cannot read the files.
    pub certificate: Option<Pem>,
    /// Whether it says what the sandbox lacks on this system: one worker is enough.
    pub tells_missing: bool,
    /// How many sockets the following messages bring in all.
    pub sockets: usize,
}

/// The order of the descriptors that come with [`Start`]. The last one is optional.
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

/// A message to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    Start(Box<Start>),
    Sockets(Sockets),
    /// Stop accepting once the queues are empty, and end when the last connection has.
    Drain,
    /// Stop accepting at once, since other workers accept from the same queues.
    Retire,
    /// Reset the connections that are open, and end.
    Kill,
    /// The addresses of a name, or why there are none.
    Resolved {
        id: u64,
        addresses: Result<Vec<IpAddr>, String>,
    },
}

/// Listening sockets, which come as descriptors: whether each was inherited by the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sockets {
    pub inherited: Vec<bool>,
}

/// A message from a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// It accepts connections.
    Ready,
    /// It could not start, or its listeners have failed: why, in one line.
    Failed(String),
    /// It accepts no more.
    Stopped,
    /// It needs the addresses of a name.
    Resolve { id: u64, name: String },
}
