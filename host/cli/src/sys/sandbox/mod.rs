//! The sandbox of a worker process: the privileges that it keeps while it serves.
//!
//! A worker gives up its privileges in two steps, neither of which can be undone: [`confine_files`] before it has
//! threads, [`confine_calls`] just before it is ready. What was open before remains usable: listening sockets, the
//! control socket, the log.
//!
//! Only Linux has such a sandbox. Elsewhere both functions do nothing.

#[cfg(target_os = "linux")]
mod linux;

use std::fmt;
use std::path::PathBuf;

/// What a worker needs after its start, besides serving the sockets that it was given.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// The directories and files that the worker opens: those that are granted to the service.
    pub directories: Vec<Directory>,
    /// Whether it opens sockets itself: those of its service.
    pub network: bool,
}

/// A directory and all below it, or a single file.
#[derive(Clone, Debug)]
pub struct Directory {
    pub path: PathBuf,
    /// Whether files can be written, created and removed. If not, they can only be read.
    pub writable: bool,
}

/// A part of the sandbox that this system does not have. The text is a line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Landlock is not available, for this reason.
    Landlock(&'static str),
    /// Landlock is too old to do this.
    LandlockPart(&'static str),
    /// System calls are not filtered, for this reason.
    Calls(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Landlock(why) => write!(f, "workers are not confined by Landlock: {why}"),
            Self::LandlockPart(what) => {
                write!(f, "the Landlock of this kernel is too old to {what}")
            }
            Self::Calls(why) => write!(f, "the system calls of workers are not filtered: {why}"),
        }
    }
}

/// Takes privileges away from this thread, and from the threads and processes that it starts: new privileges,
/// capabilities, all files but those that `needs` names, and the network unless it is needed. Returns the parts that
/// the kernel does not support.
///
/// Call it on the main thread before there are others, which would keep their privileges. Directories are identified
/// now: one that is replaced later cannot be opened.
///
/// # Errors
/// If a directory of `needs` cannot be opened, or the kernel refuses.
pub fn confine_files(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    #[cfg(target_os = "linux")]
    return linux::confine_files(needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Vec::new())
    }
}

/// Restricts all threads of this process, and those that it starts, to the system calls that serving requires. Any
/// other call fails with EPERM. Returns the part that the kernel does not support.
///
/// # Errors
/// If the kernel refuses.
pub fn confine_calls(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    #[cfg(target_os = "linux")]
    return linux::confine_calls(needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Vec::new())
    }
}
