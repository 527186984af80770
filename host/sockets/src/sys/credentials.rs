//! Who is at the other end of a Unix socket.

use socket2::Socket;
use std::fmt;
use std::io;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Who is at the other end of a Unix socket: what the kernel knew when it connected.
///
/// ```
/// # #[cfg(unix)]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (_ours, theirs) = tokio::net::UnixStream::pair()?;
/// let peer = evconn_sockets::PeerCredentials::of(&theirs)?;
/// assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The process, where the system tells and it is in a namespace that can be seen from here. It
    /// may have ended, and another may have its number.
    pub pid: Option<i32>,
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
}

impl PeerCredentials {
    /// Those of the peer of a connection.
    ///
    /// # Errors
    /// What the operating system reports; none is expected.
    #[cfg(unix)]
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self {
            pid: credentials.pid().filter(|pid| *pid > 0),
            uid: credentials.uid(),
            gid: credentials.gid(),
        })
    }

    /// Those of the peer of a Unix socket that is connected. It takes no descriptor: there may be none
    /// left.
    #[cfg(target_os = "linux")]
    #[allow(
        unsafe_code,
        reason = "rustix's socket_peercred cannot say that the process is in another namespace (pid 0)"
    )]
    pub(crate) fn of_socket(socket: &Socket) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        let mut found = libc::ucred {
            pid: 0,
            uid: 0,
            gid: 0,
        };
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: both structures live across the call, no more than `length` bytes are written to the
        // first, and any bytes are a valid value of it.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut found).cast(),
                &raw mut length,
            )
        };
        match result {
            0 => Ok(Self {
                pid: Some(found.pid).filter(|pid| *pid > 0),
                uid: found.uid,
                gid: found.gid,
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Those of the peer of a Unix socket that is connected. To be called within a tokio runtime.
    #[cfg(all(unix, not(target_os = "linux")))]
    pub(crate) fn of_socket(socket: &Socket) -> io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(socket.try_clone()?);
        Self::of(&UnixStream::from_std(stream)?)
    }

    /// There are no Unix sockets on this system, and no credentials of their peers.
    #[cfg(not(unix))]
    pub(crate) fn of_socket(_socket: &Socket) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Display for PeerCredentials {
    /// In one line, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pid) = self.pid {
            write!(f, "pid {pid}, ")?;
        }
        write!(f, "uid {}, gid {}", self.uid, self.gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_one_line() {
        let mut peer = PeerCredentials {
            pid: Some(7),
            uid: 1000,
            gid: 100,
        };
        assert_eq!(peer.to_string(), "pid 7, uid 1000, gid 100");
        peer.pid = None;
        assert_eq!(peer.to_string(), "uid 1000, gid 100");
    }
}
