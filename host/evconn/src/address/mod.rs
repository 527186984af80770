//! Listen sources: an address, the path of a Unix socket, or a listening socket inherited from another
//! program.
//!
//! Opening a source gives a listening socket, or an address that the listener component binds. The
//! [`acceptor`](crate::listener::acceptor) accepts the connections.

mod error;
mod invalid;
mod name;
mod parse;
mod systemd;
mod zone;

// Everything specific to Unix is in `unix`. `elsewhere` has the same names and returns errors.
#[cfg(not(unix))]
#[path = "elsewhere.rs"]
mod platform;
#[cfg(unix)]
#[path = "unix/mod.rs"]
mod platform;

pub use error::SourceError;
pub(crate) use name::{look_up, resolve};
pub use platform::{SocketFile, claim_inherited_descriptors};

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Where a listener's connections come from.
///
/// Listen sources are parsed from text, as on the command line:
///
/// | text | meaning |
/// | --- | --- |
/// | `127.0.0.1:9876`, `[::1]:0` | this address; with port 0 the system chooses a free one |
/// | `[fe80::1%eth0]:9876`, `[fe80::1%2]:9876` | this address of this interface |
/// | `:9876`, `*:9876` | any interface, IPv6 and IPv4 |
/// | `localhost:9876` | every address that the name stands for, with one port |
/// | `unix:/run/app.sock` | a Unix socket with this path |
/// | `unix:/run/app.sock,mode=660` | the same, with this mode, in octal |
/// | `unix:@app` | a Unix socket with an abstract name (Linux) |
/// | `fd:3` | the listening socket that was passed as this descriptor |
/// | `systemd` | all listening sockets that systemd has passed |
/// | `systemd:web` | those with this name (`FileDescriptorName=`) |
///
/// An address may be preceded by `tcp://`.
///
/// ```
/// use evconn::ListenSource;
///
/// let source: ListenSource = "unix:/run/app.sock,mode=660".parse()?;
/// assert_eq!(source.to_string(), "unix:/run/app.sock,mode=660");
/// assert!("/run/app.sock".parse::<ListenSource>().is_err());
/// # Ok::<(), evconn::SourceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenSource {
    /// An address that the listener component binds.
    Address(SocketAddr),
    /// This port on every interface, IPv6 and IPv4.
    AnyInterface(u16),
    /// Every address of a host name. With port 0, the system chooses one port that is free on all of
    /// them.
    Name {
        /// The host name.
        host: String,
        /// The port on each address.
        port: u16,
    },
    /// A Unix socket that is created when the source is opened.
    Unix(UnixSource),
    /// A listening socket inherited as this descriptor, which is 3 or higher.
    Fd(i32),
    /// The listening sockets passed by systemd, or by a program that uses its protocol: all of them, or
    /// those of this name. See `sd_listen_fds(3)`.
    Systemd(Option<String>),
}

/// A Unix socket to be created: its name, and who may connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSource {
    name: UnixName,
    mode: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum UnixName {
    Path(PathBuf),
    Abstract(String),
}

impl UnixSource {
    /// Returns a socket with a path, which may be relative.
    ///
    /// If the path is that of a socket on which no process listens any more, that file is replaced; any
    /// other file is left alone. The file is removed when the socket is closed.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self {
            name: UnixName::Path(path.as_ref().to_owned()),
            mode: None,
        }
    }

    /// Returns a socket with an abstract name (Linux): it is in no file system, and is free again as soon
    /// as the socket is closed. Every process of the network namespace may connect.
    pub fn abstract_name(name: impl Into<String>) -> Self {
        Self {
            name: UnixName::Abstract(name.into()),
            mode: None,
        }
    }

    /// Sets the mode of the socket's file: whoever may write to the file may connect. Only the lowest
    /// nine bits count. Defaults to what the umask allows, usually write access for the owner alone.
    ///
    /// The mode has no effect on an abstract name, which has no file.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o777);
        self
    }
}

/// The default length of the accept queue. The kernel may lower it.
pub(crate) const BACKLOG: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// An open [`ListenSource`]. The sockets are non-blocking and close-on-exec.
#[derive(Debug)]
#[non_exhaustive]
pub enum Opened {
    /// An address that the listener component is going to bind.
    Address {
        /// The address.
        address: SocketAddr,
        /// Whether to listen on IPv4 too. The address is then `[::]`.
        dual_stack: bool,
    },
    /// A listening TCP socket.
    Tcp {
        /// The socket.
        listener: std::net::TcpListener,
        /// Whether other processes may have the socket too and accept from its queue, as with an
        /// inherited one. [`Listener::drain`](crate::Listener::drain) then leaves the queue alone.
        shared: bool,
    },
    /// A listening Unix socket.
    #[cfg(unix)]
    Unix {
        /// Its file, if the socket was created here and has one. Drop it before the socket, so that no
        /// other process takes the file for a stale one.
        file: Option<SocketFile>,
        /// The socket.
        listener: std::os::unix::net::UnixListener,
        /// Whether other processes may have the socket too, as with TCP.
        shared: bool,
    },
}

impl ListenSource {
    /// Returns the port of a TCP address or a host name.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Address(address) => Some(address.port()),
            Self::AnyInterface(port) | Self::Name { port, .. } => Some(*port),
            Self::Unix(_) | Self::Fd(_) | Self::Systemd(_) => None,
        }
    }

    /// Creates the socket, or takes the ones that were passed: at least one.
    /// [`ListenerBuilder::listen_on`](crate::ListenerBuilder::listen_on) does this and makes a listener
    /// of the result.
    ///
    /// This call blocks for as long as a host name is being looked up, and for up to 2 seconds if another
    /// process of this user is creating a socket with the same path. A host name gives an address for
    /// each of its addresses, with the port as it was given, even if that is 0. A Unix socket that is
    /// created here has an accept queue of 4,096 connections, or as many as the kernel allows.
    ///
    /// An inherited descriptor can be taken only after
    /// [`claim_inherited_descriptors`](crate::claim_inherited_descriptors), and only once in the life of
    /// a process. The returned value owns it. It becomes non-blocking, also for other processes that
    /// share it. systemd's variables stay in the environment: programs that are started later see them,
    /// and also that they are meant for another process.
    ///
    /// # Errors
    /// Every [`SourceError`] but [`SourceError::Invalid`]. Nothing is left open or behind then.
    pub fn open(&self) -> Result<Vec<Opened>, SourceError> {
        self.open_with_backlog(BACKLOG)
    }

    /// Opens the source like [`open`](Self::open), with an accept queue of `backlog` connections, or as
    /// many as the kernel allows. It applies to Unix sockets that are created here: an address is bound
    /// later, and an inherited socket keeps its queue.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_backlog(&self, backlog: NonZeroU32) -> Result<Vec<Opened>, SourceError> {
        match self {
            Self::Address(address) => match invalid::problem(*address) {
                Some(problem) => Err(SourceError::UnusableAddress {
                    address: *address,
                    problem,
                }),
                None => Ok(vec![Opened::Address {
                    address: *address,
                    dual_stack: false,
                }]),
            },
            Self::AnyInterface(port) => Ok(vec![Opened::Address {
                address: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port),
                dual_stack: true,
            }]),
            Self::Name { host, port } => {
                let addresses = resolve(host, *port)?.into_iter();
                let opened = addresses.map(|address| Opened::Address {
                    address,
                    dual_stack: false,
                });
                Ok(opened.collect())
            }
            Self::Unix(source) => Ok(vec![platform::bind(source, backlog)?]),
            Self::Fd(number) => Ok(vec![platform::take(*number)?]),
            Self::Systemd(name) => {
                let passed = systemd::passed(|name| std::env::var_os(name), std::process::id())?;
                let numbers = systemd::select(passed, name.as_deref())?;
                numbers.into_iter().map(platform::take).collect()
            }
        }
    }
}

impl Opened {
    /// Sets whether other processes may go on accepting from the queue of this socket when this one drains:
    /// see [`Opened::Tcp`]. Has no effect on an address, which is bound later.
    ///
    /// Processes that serve one socket and end at the same time pass false: each drains the queue, and
    /// together they accept every connection that arrived. On Linux, draining changes the socket that they
    /// share: once one of them drains, no further peer can connect to any of them. Peers are refused only
    /// when every process has closed the socket. A process that does not accept from it has to close its
    /// own descriptor when the others have drained.
    pub fn shared(mut self, value: bool) -> Self {
        match &mut self {
            Self::Address { .. } => {}
            Self::Tcp { shared, .. } => *shared = value,
            #[cfg(unix)]
            Self::Unix { shared, .. } => *shared = value,
        }
        self
    }

    /// Returns the listening socket, to pass it to another process. Returns None for an address.
    #[cfg(unix)]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Address { .. } => None,
            Self::Tcp { listener, .. } => Some(listener.as_fd()),
            Self::Unix { listener, .. } => Some(listener.as_fd()),
        }
    }

    /// Removes the file of a Unix socket that was created here, so that no further peer can connect.
    #[cfg(unix)]
    pub fn remove_file(&mut self) {
        if let Self::Unix { file, .. } = self {
            *file = None;
        }
    }

    /// Returns whether other processes may have the socket too.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Address { .. } => false,
            Self::Tcp { shared, .. } => *shared,
            #[cfg(unix)]
            Self::Unix { shared, .. } => *shared,
        }
    }
}

impl fmt::Display for Opened {
    /// Writes where it listens, in the syntax of [`ListenSource`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, .. } => write!(f, "{address}"),
            Self::Tcp { listener, .. } => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("an unknown address"),
            },
            #[cfg(unix)]
            Self::Unix { listener, .. } => platform::write_name(listener, f),
        }
    }
}
