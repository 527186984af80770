//! What can be wrong with a source. Each is one line, and says what would be right.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a source is none, or cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The text means no source.
    #[error("{text:?} is nothing to listen on: {problem}")]
    Invalid {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// This system has no such sockets.
    #[error("{0} are not to be had on this system")]
    Unsupported(&'static str),

    /// Nobody can listen there, on no machine.
    #[error("{address} cannot be listened on: {problem}")]
    UnusableAddress {
        /// The address.
        address: SocketAddr,
        /// What kind of address it is, and what would be right.
        problem: String,
    },
    /// A name stands for no address, or cannot be looked up.
    #[error("{host:?} has no address: {}", reason(.error))]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// The name of a Unix socket is longer than the kernel's structure has room for.
    #[error("the name of a Unix socket has at most {max} bytes, and this has {length}: {name:?}")]
    NameTooLong {
        /// The path or the abstract name.
        name: PathBuf,
        /// Its length, in bytes.
        length: usize,
        /// The most that are possible, in bytes.
        max: usize,
    },
    /// Something that is no socket has the path. It is left alone.
    #[error("{path:?} is {what}, not a socket: remove it, or choose another path")]
    NotASocketFile {
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// Somebody serves the socket that has this name.
    #[error("unix:{name}: Address already in use")]
    AddressInUse {
        /// The path, or the abstract name with an `@` before it.
        name: String,
    },
    /// Another process of this user is about to make a socket with this path, and does not get done.
    #[error(
        "another process is about to listen on {path:?}, and has been for 2 seconds: it has locked {lock:?}"
    )]
    Locked {
        /// The path.
        path: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot {what}: {}", reason(.error))]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system says.
        error: io::Error,
    },

    /// Descriptors 0, 1 and 2 are the standard streams, and numbers are not negative.
    #[error("descriptor {0} cannot be listened on: pass the socket as 3 or higher")]
    StandardStream(i32),
    /// Nobody has said that descriptors which were inherited may be taken.
    #[error(
        "descriptor {0} cannot be taken: the program has to call claim_inherited_descriptors first, or pass \
         the socket itself (Opened::from_fd)"
    )]
    NotClaimed(i32),
    /// No such descriptor is open.
    #[error("descriptor {0} is not open: it has to be a listening socket that was passed here")]
    NotOpen(i32),
    /// The descriptor is close-on-exec, so that it cannot have been inherited.
    #[error("descriptor {0} was not passed to this process, or is in use in it already")]
    NotInherited(i32),
    /// The descriptor is something else: a file, a pipe.
    #[error("descriptor {0} is not a socket")]
    NotASocket(i32),
    /// The socket is for datagrams or packets.
    #[error("descriptor {number} is a {kind} socket: it has to be a stream socket")]
    NotAStream {
        /// Its number.
        number: i32,
        /// What it is.
        kind: &'static str,
    },
    /// The socket is of no family that is known here.
    #[error("descriptor {0} is neither an IPv4, nor an IPv6, nor a Unix socket")]
    UnknownFamily(i32),
    /// The socket is a connection.
    #[error(
        "descriptor {0} is a connection: it has to be a socket that listens (for systemd: Accept=no)"
    )]
    IsConnected(i32),
    /// The socket does not listen: it was made, or bound, and no more.
    #[error("descriptor {0} is a socket that does not listen: whoever passes it has to listen(2)")]
    NotListening(i32),

    /// No sockets were passed in the way of systemd.
    #[error("no sockets were passed: {0} is not set (systemd sets it for the service of a socket)")]
    NothingPassed(&'static str),
    /// As many as none were passed.
    #[error("no sockets were passed: LISTEN_FDS is 0")]
    NonePassed,
    /// The sockets are for another process: mostly a shell or a wrapper that did not `exec`.
    #[error("the sockets were passed to process {meant}, and this is {this}: start it with exec")]
    ForAnotherProcess {
        /// The process in `LISTEN_PID`.
        meant: u32,
        /// This process.
        this: u32,
    },
    /// A variable has a value that cannot be meant.
    #[error("{variable}={value:?} is wrong: {expected}")]
    Malformed {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it is to be.
        expected: String,
    },
    /// Sockets were passed, but none of this name.
    #[error("no socket that is named {name:?} was passed: there are {}", list(.names))]
    NoSuchName {
        /// The name.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
}

/// The operating system's words, without what Rust adds.
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
