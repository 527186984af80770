//! The privileges of a worker process: what it may still do once it serves.
//!
//! A worker gives them up in two steps, since neither can be undone and each has to come at its own time:
//! [`confine_files`] before the worker has threads, [`confine_calls`] when it is about to be ready. What was
//! open before stays usable: listening sockets, the control socket, the log.
//!
//! Only Linux has such a sandbox. Elsewhere both functions do nothing.

#[cfg(target_os = "linux")]
mod linux;

use std::fmt;
use std::path::PathBuf;

/// What a worker needs after its start, besides serving the sockets that it was given.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// The directories that are granted to the service, and what else the worker opens.
    pub directories: Vec<Directory>,
    pub network: Network,
    /// Whether the worker loads compiled code after [`confine_calls`], as for a reload. If not, no memory becomes
    /// executable from then on.
    pub loads_code: bool,
}

/// A directory and all below it, or a single file.
#[derive(Clone, Debug)]
pub struct Directory {
    pub path: PathBuf,
    /// Whether files may be written, made and removed. If not, they can only be read.
    pub writable: bool,
}

/// The sockets that a worker makes itself: those of its service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// None.
    #[default]
    None,
    /// TCP and UDP sockets that connect to addresses, or are bound to them.
    Addresses,
    /// The same, and lookups of host names, for which the system's configuration is read.
    Names,
}

/// A part of the sandbox that this system does not have. The text is a line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Landlock is not there, for this reason.
    Landlock(&'static str),
    /// Landlock is older than it would have to be for this.
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

/// Takes from this thread, and from the threads and processes that it starts: new privileges, capabilities, all
/// files but those that `needs` names, and the network unless it is needed.
///
/// It has to be called on the main thread before there are others: the others would keep what they have.
/// Directories are identified now: one that is replaced later cannot be opened.
///
/// # Errors
/// If a directory of `needs` cannot be opened, or the kernel refuses. What it does not support is no error.
pub fn confine_files(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    #[cfg(target_os = "linux")]
    return linux::confine_files(needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Vec::new())
    }
}

/// Lets all threads of this process, and those that it starts, make only the system calls that serving takes. Any
/// other one fails with EPERM.
///
/// # Errors
/// If the kernel refuses. That it does not support this is no error.
pub fn confine_calls(needs: &Needs) -> anyhow::Result<Vec<Missing>> {
    #[cfg(target_os = "linux")]
    return linux::confine_calls(needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Vec::new())
    }
}
