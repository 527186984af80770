//! How the host sets up sockets that guests make: what `wasi:sockets` has no word for.

use socket2::{SockRef, Socket, TcpKeepalive};
use std::io;
use std::net::TcpListener;
use std::time::Duration;

/// How TCP sockets are set up: the ones that listen, with what they accept, and the ones that
/// connect. It is the host's choice: a guest neither sees nor changes it, but for keep-alive.
///
/// ```
/// use evconn_sockets::{Policy, TcpCtx, TcpOptions};
///
/// let mut options = TcpOptions::default();
/// options.reuse_port = true;
/// let tcp = TcpCtx::new(Policy::allow_all()).options(options);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// Send small pieces at once rather than wait for more to send with them (TCP_NODELAY): two small
    /// writes in a row would otherwise take 40 ms with most peers. Default: true.
    pub nodelay: bool,
    /// Look from time to time whether an idle peer is still there (SO_KEEPALIVE). Default: not,
    /// unless the guest wants it.
    pub keep_alive: Option<KeepAlive>,
    /// Let several sockets, also of several processes, listen on the same address; the kernel shares
    /// out the connections (SO_REUSEPORT). Default: false. Fails where the system has no such thing.
    pub reuse_port: bool,
    /// Take data that comes with a connection's first packet (TCP_FASTOPEN), for up to this many
    /// connections at a time whose handshake is not complete. Such data may come twice: a service
    /// must not mind. Default: none. Linux only; elsewhere it fails.
    pub fast_open: Option<u32>,
    /// Have the kernel hold connections back until their peer has sent something (TCP_DEFER_ACCEPT),
    /// for about this long; then they are accepted all the same. Default: not. Linux only; elsewhere
    /// it is ignored, as it just saves work.
    ///
    /// With the listener's deferred accept, which holds what has been accepted, this makes its work
    /// cheaper, but a peer that is silent is noticed later.
    pub defer_accept: Option<Duration>,
    /// Whether a socket for IPv6 takes peers of IPv6 only (IPV6_V6ONLY). Default: true, as the WIT
    /// documents have it. Otherwise one on `[::]` takes peers of IPv4 too; their addresses are
    /// IPv4-mapped ones (`::ffff:192.0.2.1`).
    pub ipv6_only: bool,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keep_alive: None,
            reuse_port: false,
            fast_open: None,
            defer_accept: None,
            ipv6_only: true,
        }
    }
}

/// How to find out whether a peer is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long a connection has to be idle before the first probe. Whole seconds, at least 1.
    pub idle: Duration,
    /// The time between two probes. Whole seconds, at least 1.
    pub interval: Duration,
    /// How many probes may go unanswered.
    pub count: u32,
}

impl TcpOptions {
    /// Sets the options that a listening socket can still be given, whoever opened it, and so those of the
    /// connections that it accepts: all but [`reuse_port`](Self::reuse_port) and
    /// [`ipv6_only`](Self::ipv6_only).
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn apply_to_listener(&self, listener: &TcpListener) -> io::Result<()> {
        let socket = SockRef::from(listener);
        self.apply_to_new(&socket)?;
        self.apply_before_listen(&socket)
    }

    /// Sets up a socket that was just made.
    pub(crate) fn apply_to_new(&self, socket: &Socket) -> io::Result<()> {
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(keep_alive) = self.keep_alive {
            let probes = TcpKeepalive::new()
                .with_time(keep_alive.idle)
                .with_interval(keep_alive.interval);
            #[cfg(not(windows))]
            let probes = probes.with_retries(keep_alive.count);
            socket.set_tcp_keepalive(&probes)?;
        }
        Ok(())
    }

    /// Sets up a socket that is about to be bound.
    pub(crate) fn apply_before_bind(&self, socket: &Socket) -> io::Result<()> {
        // So that an address can be bound again while old connections of it are in TIME_WAIT: the
        // WIT documents want it. On Windows that is so, and the option means something else.
        #[cfg(windows)]
        let _nothing_to_set = socket;
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        match self.reuse_port {
            #[cfg(unix)]
            true => socket.set_reuse_port(true),
            #[cfg(not(unix))]
            true => Err(io::ErrorKind::Unsupported.into()),
            false => Ok(()),
        }
    }

    /// Sets up a socket that is about to listen.
    #[cfg(target_os = "linux")]
    pub(crate) fn apply_before_listen(&self, socket: &Socket) -> io::Result<()> {
        use super::linux;
        if let Some(queue) = self.fast_open {
            linux::set_fast_open(socket, queue)?;
        }
        if let Some(time) = self.defer_accept {
            linux::set_defer_accept(socket, time)?;
        }
        Ok(())
    }

    /// Sets up a socket that is about to listen.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn apply_before_listen(&self, _socket: &Socket) -> io::Result<()> {
        match self.fast_open {
            Some(_) => Err(io::ErrorKind::Unsupported.into()),
            None => Ok(()),
        }
    }
}
