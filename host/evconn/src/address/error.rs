//! The errors of listen sources. Each is one line that says what is wrong and what would be right.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a text is not a listen source, or why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The text is not a listen source.
    #[error("{text:?} is nothing to listen on: {problem}")]
    Invalid {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// This system does not support such sockets.
    #[error("{0} are not supported on this system")]
    Unsupported(&'static str),

    /// No machine can listen on this address.
    #[error("{address} cannot be listened on: {problem}")]
    UnusableAddress {
        /// The address.
        address: SocketAddr,
        /// What kind of address it is, and what would be right.
        problem: String,
    },
    /// A host name has no address, or cannot be looked up.
    #[error("{host:?} has no address: {}", reason(.error))]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// The name of a Unix socket is longer than the kernel allows.
    #[error("the name of a Unix socket has at most {max} bytes, and this has {length}: {name:?}")]
    NameTooLong {
        /// The path or the abstract name.
        name: PathBuf,
        /// Its length, in bytes.
        length: usize,
        /// The longest possible name, in bytes.
        max: usize,
    },
    /// The path exists and is not a socket. It is left alone.
    #[error("{path:?} is {what}, not a socket: remove it, or choose another path")]
    NotASocketFile {
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The socket of this name is in use: a process listens on it.
    #[error("unix:{name}: Address already in use")]
    AddressInUse {
        /// The path, or the abstract name with an `@` before it.
        name: String,
    },
    /// Another process of this user has held the lock on this path for too long.
    #[error(
        "another process is about to listen on {path:?}, and has been for 2 seconds: it has locked {lock:?}"
    )]
    Locked {
        /// The path.
        path: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// The operating system reports an error.
    #[error("cannot {what}: {}", reason(.error))]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system says.
        error: io::Error,
    },

    /// The number is 0, 1 or 2, which are the standard streams, or negative.
    #[error("descriptor {0} cannot be listened on: pass the socket as 3 or higher")]
    StandardStream(i32),
    /// The program has not called [`claim_inherited_descriptors`](crate::claim_inherited_descriptors).
    #[error(
        "descriptor {0} cannot be taken: the program has to call claim_inherited_descriptors first, or pass \
         the socket itself (Opened::from_fd)"
    )]
    NotClaimed(i32),
    /// No such descriptor is open.
    #[error("descriptor {0} is not open: it has to be a listening socket that was passed here")]
    NotOpen(i32),
    /// The descriptor is close-on-exec, so it was not inherited.
    #[error("descriptor {0} was not passed to this process, or is in use in it already")]
    NotInherited(i32),
    /// The descriptor is not a socket, but a file or a pipe, for example.
    #[error("descriptor {0} is not a socket")]
    NotASocket(i32),
    /// The socket is not a stream socket: it is for datagrams or packets.
    #[error("descriptor {number} is a {kind} socket: it has to be a stream socket")]
    NotAStream {
        /// Its number.
        number: i32,
        /// What it is.
        kind: &'static str,
    },
    /// The socket is neither an IPv4, nor an IPv6, nor a Unix socket.
    #[error("descriptor {0} is neither an IPv4, nor an IPv6, nor a Unix socket")]
    UnknownFamily(i32),
    /// The socket is an accepted or connected one.
    #[error(
        "descriptor {0} is a connection: it has to be a socket that listens (for systemd: Accept=no)"
    )]
    IsConnected(i32),
    /// The socket is not listening: it was created, and perhaps bound, but `listen` was not called.
    #[error("descriptor {0} is a socket that does not listen: whoever passes it has to listen(2)")]
    NotListening(i32),

    /// The environment variables with which systemd passes sockets are not set.
    #[error("no sockets were passed: {0} is not set (systemd sets it for the service of a socket)")]
    NothingPassed(&'static str),
    /// The environment variables say that no sockets were passed.
    #[error("no sockets were passed: LISTEN_FDS is 0")]
    NonePassed,
    /// The sockets were passed to another process: usually to a shell or a wrapper that did not `exec`.
    #[error("the sockets were passed to process {meant}, and this is {this}: start it with exec")]
    ForAnotherProcess {
        /// The process in `LISTEN_PID`.
        meant: u32,
        /// This process.
        this: u32,
    },
    /// An environment variable has an invalid value.
    #[error("{variable}={value:?} is wrong: {expected}")]
    Malformed {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// Sockets were passed, but none of them has this name.
    #[error("no socket that is named {name:?} was passed: there are {}", list(.names))]
    NoSuchName {
        /// The name.
        name: String,
        /// The names of those that were passed.
        names: Vec<String>,
    },
}

impl SourceError {
    /// Returns the error of an open socket whose options cannot be set for accepting.
    pub(crate) fn not_accepted_from(error: io::Error) -> Self {
        Self::Io {
            what: "accept from the socket".to_owned(),
            error,
        }
    }
}

/// Returns the operating system's message, without what Rust adds to it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("failed to lookup address information: ");
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text.to_owned(),
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}
