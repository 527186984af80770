//! Where a listener's connections come from: an address, the path of a Unix socket, or a socket that
//! another program made and passed on.
//!
//! Where it ends: what comes out is a socket that listens, or an address that is for the guest to
//! bind. Accepting on it is the [`acceptor`](crate::listener::acceptor)'s.

mod error;
mod invalid;
mod name;
mod parse;
mod systemd;
mod zone;

// All that is Unix's alone is in `unix`; `elsewhere` has the same names, and refuses.
#[cfg(not(unix))]
#[path = "elsewhere.rs"]
mod platform;
#[cfg(unix)]
#[path = "unix/mod.rs"]
mod platform;

pub use error::SourceError;
pub(crate) use name::look_up;
pub use platform::{SocketFile, claim_inherited_descriptors};

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Where a listener's connections come from.
///
/// It is made from text, as the command line has it:
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
/// `tcp://` may be in front of an address.
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
    /// An address, which the listener component binds.
    Address(SocketAddr),
    /// This port of every interface, for IPv6 and for IPv4.
    AnyInterface(u16),
    /// Every address that a name stands for. With port 0, the system chooses one that is free for all
    /// of them.
    Name {
        /// The name of a host.
        host: String,
        /// The port of all addresses.
        port: u16,
    },
    /// A Unix socket, which is made here.
    Unix(UnixSource),
    /// A socket that listens already, inherited as the descriptor of this number: 3 or more.
    Fd(i32),
    /// The sockets that systemd, or a program that does as it does, has passed to this process: all
    /// of them, or those of this name. See `sd_listen_fds(3)`.
    Systemd(Option<String>),
}

/// A Unix socket that is to be made: its name, and who may connect.
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
    /// A socket with a path, which may be relative.
    ///
    /// A socket that nobody serves any more is replaced there; nothing else ever is. The path goes
    /// when the socket is closed.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self {
            name: UnixName::Path(path.as_ref().to_owned()),
            mode: None,
        }
    }

    /// A socket with a name that is in no file system, and goes with the socket. Every process of
    /// the network namespace may connect. Linux has them.
    pub fn abstract_name(name: impl Into<String>) -> Self {
        Self {
            name: UnixName::Abstract(name.into()),
            mode: None,
        }
    }

    /// The mode that the socket's file gets: whoever may write to it may connect. Only the lowest
    /// nine bits count. Default: what the umask leaves, which is mostly that only the owner may.
    ///
    /// An abstract name has no file, and nothing comes of this.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o777);
        self
    }
}

/// How many connections the kernel may hold, unless it is said. It caps it.
pub(crate) const BACKLOG: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// What [`ListenSource::open`] makes of a source. Sockets do not block, and close on exec.
#[derive(Debug)]
#[non_exhaustive]
pub enum Opened {
    /// An address that is yet to be bound, by the listener component.
    Address {
        /// The address.
        address: SocketAddr,
        /// Whether IPv4 is wanted too: the address is then `[::]`.
        dual_stack: bool,
    },
    /// A TCP socket that listens.
    Tcp {
        /// The socket.
        listener: std::net::TcpListener,
        /// Whether other processes may have it too, and take what waits in its queue: as if it was
        /// inherited. [`Listener::drain`](crate::Listener::drain) then leaves that alone.
        shared: bool,
    },
    /// A Unix socket that listens.
    #[cfg(unix)]
    Unix {
        /// Its file, if it was made here and has one. To be dropped before the socket: nobody can
        /// then take it for one that was left behind.
        file: Option<SocketFile>,
        /// The socket.
        listener: std::os::unix::net::UnixListener,
        /// Whether other processes may have it too, as with TCP.
        shared: bool,
    },
}

impl ListenSource {
    /// The port that it asks for, if it is an address of TCP.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Address(address) => Some(address.port()),
            Self::AnyInterface(port) | Self::Name { port, .. } => Some(*port),
            Self::Unix(_) | Self::Fd(_) | Self::Systemd(_) => None,
        }
    }

    /// Make the socket, or take the ones that were passed: at least one. See
    /// [`ListenerBuilder::listen_on`](crate::ListenerBuilder::listen_on), which does all that is to be
    /// done about a source.
    ///
    /// It may wait for up to 2 seconds for another process of this user that makes a socket with the same
    /// path, and as long as the resolver takes for a name. Of a name, each address has the port
    /// that was asked for, also if that is 0. A Unix socket that it makes queues up to 4,096
    /// connections, or as many as the kernel allows.
    ///
    /// A descriptor that was passed is taken only after
    /// [`claim_inherited_descriptors`](crate::claim_inherited_descriptors). It belongs to what this returns,
    /// and can be taken once in the life of a process. From now on it does not block, for
    /// whoever else has it too. The variables of systemd stay in the environment: programs that are
    /// started later see them, and that they are meant for another process.
    ///
    /// # Errors
    /// Each [`SourceError`] but [`SourceError::Invalid`]. Nothing is left open then, or behind.
    pub fn open(&self) -> Result<Vec<Opened>, SourceError> {
        self.open_with_backlog(BACKLOG)
    }

    /// The same, with a queue for up to `backlog` connections, or as many as the kernel allows. It is
    /// for Unix sockets that are made here: an address is bound later, and a socket that was passed
    /// has the queue that it was given when it was made.
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
                let addresses = name::resolve(host, *port)?.into_iter();
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
    /// Whether other processes may have the socket too.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Address { .. } => false,
            Self::Tcp { shared, .. } => *shared,
            #[cfg(unix)]
            Self::Unix { shared, .. } => *shared,
        }
    }
}

impl fmt::Display for Opened {
    /// Where it listens, in the form that [`ListenSource`] has.
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
