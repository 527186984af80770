//! Calls on a stream socket that never blocks.

use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockRef, Socket};
use std::io;
use std::net::SocketAddr;

/// Whether a short send shows that the socket takes no more, and a short receive that nothing is left, so
/// that the kernel need not be asked again. With epoll and kqueue it does (epoll(7), "Questions and
/// answers", 9).
pub const SHORT_MEANS_DONE: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "ios",
    target_os = "macos",
));

/// Whether an accepted socket has the options of the one that listens.
pub const INHERITS_OPTIONS: bool = cfg!(target_os = "linux");

/// Linux reports twice the buffer size that was set: it includes its own overhead.
pub const BUFFER_OVERHEAD: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

/// The embedding program may not ignore SIGPIPE, as Rust's own programs do.
const SEND: SendFlags = {
    #[cfg(not(any(windows, target_vendor = "apple")))]
    {
        SendFlags::NOSIGNAL
    }
    #[cfg(any(windows, target_vendor = "apple"))]
    {
        SendFlags::empty()
    }
};

/// Receives up to the size of the buffer. 0: the peer has ended its side. `WouldBlock`: nothing is there.
pub fn recv(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Does the same, but leaves what it finds.
pub fn peek(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::PEEK)?;
    Ok(count)
}

/// Sends as much as the kernel takes. `WouldBlock`: it takes nothing.
pub fn send(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SEND)?)
}

/// Does the same with several pieces.
#[cfg(feature = "tls")]
pub fn send_vectored(socket: &Socket, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
    socket.send_vectored_with_flags(pieces, SEND.bits() as _)
}

/// Returns how many bytes a receive would find, up to urgent data.
pub fn bytes_to_read(socket: &Socket) -> io::Result<u64> {
    Ok(rustix::io::ioctl_fionread(socket)?)
}

/// Has a send to a peer that is gone fail rather than raise SIGPIPE, where that is an option of the socket.
pub fn never_signal(socket: &Socket) {
    #[cfg(target_vendor = "apple")]
    if let Err(error) = socket.set_nosigpipe(true) {
        tracing::debug!("a send may raise SIGPIPE: {error}");
    }
    #[cfg(not(target_vendor = "apple"))]
    let _a_flag_does_it = socket;
}

/// Ends a TCP connection with a reset, whoever still has its socket: these find it closed.
///
/// # Errors
/// If the system has no such call, which most do not.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "an address without a family is none that the safe constructors make"
)]
pub fn disconnect(socket: &Socket) -> io::Result<()> {
    use socket2::{SockAddr, SockAddrStorage};
    // AF_UNSPEC is 0. With a length that is too short for any other family, a filter of system calls can tell this call
    // from those that connect.
    const LENGTH: u32 = size_of::<u16>() as u32;
    // SAFETY: the family is all of the address, and it is initialized.
    let nobody = unsafe { SockAddr::new(SockAddrStorage::zeroed(), LENGTH) };
    socket.connect(&nobody)
}

/// Elsewhere, the connection ends when its socket is closed.
#[cfg(not(target_os = "linux"))]
pub fn disconnect(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the address that a socket is bound to.
pub fn local_address(socket: &SockRef<'_>) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::Error::other("the socket has no internet address"))
}

/// Whether this error of connect says that connecting goes on.
pub fn is_connecting(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS)
}

/// Whether the peer has yet to acknowledge something that was sent on a TCP socket. False where the system
/// does not say.
pub fn has_unacknowledged(socket: &Socket) -> bool {
    #[cfg(target_os = "linux")]
    return super::linux::has_unacknowledged(socket);
    #[cfg(not(target_os = "linux"))]
    {
        let _nobody_can_tell = socket;
        false
    }
}

/// Returns two sockets that are connected to each other, and never block.
#[cfg(unix)]
pub fn pair() -> io::Result<(Socket, Socket)> {
    let (one, other) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}

/// Unix sockets alone come in pairs.
#[cfg(not(unix))]
pub fn pair() -> io::Result<(Socket, Socket)> {
    Err(io::ErrorKind::Unsupported.into())
}
