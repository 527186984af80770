//! Sockets of the operating system, set up as the host has chosen: created, bound, listening.
//!
//! Where it ends: whether a guest may have them is decided by [`tcp`](super::tcp).

use crate::error::ErrorCode;
use crate::policy::{IpAddressFamily, check_local};
use crate::sys::{TcpOptions, code_of_bind};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;

/// Listens on an address, with the same options and the same errors as a guest's socket. The result is
/// non-blocking and close-on-exec. [`TcpSocket::from_tcp_listener`](crate::TcpSocket::from_tcp_listener)
/// gives it to a guest, in this process or in another.
///
/// `backlog` is the length of the accept queue. The kernel may lower it.
///
/// ```
/// use evconn_sockets::{ErrorCode, TcpOptions};
/// use std::num::NonZeroU32;
///
/// let backlog = NonZeroU32::new(4096).expect("not 0");
/// let options = TcpOptions::default();
/// let listener = evconn_sockets::listen("127.0.0.1:0".parse()?, &options, backlog)?;
/// let again = evconn_sockets::listen(listener.local_addr()?, &options, backlog);
/// assert_eq!(again.expect_err("it is in use"), ErrorCode::AddressInUse);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The code that a guest would get: [`ErrorCode::InvalidArgument`] for an address that no socket can have, for
/// example a multicast address; otherwise what the operating system reports.
pub fn listen(
    address: SocketAddr,
    options: &TcpOptions,
    backlog: NonZeroU32,
) -> Result<TcpListener, ErrorCode> {
    let family = IpAddressFamily::of(address);
    let socket = create(options, family)?;
    check_local(address, family)?;
    bind(&socket, options, address).map_err(|error| code_of_bind(&error))?;
    let backlog = i32::try_from(backlog.get()).unwrap_or(i32::MAX);
    start_listening(&socket, options, backlog)?;
    Ok(socket.into())
}

/// Creates a socket that never blocks.
pub fn create(options: &TcpOptions, family: IpAddressFamily) -> io::Result<Socket> {
    let domain = match family {
        IpAddressFamily::Ipv4 => Domain::IPV4,
        IpAddressFamily::Ipv6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if family == IpAddressFamily::Ipv6 {
        socket.set_only_v6(options.ipv6_only)?;
    }
    options.apply_to_new(&socket)?;
    Ok(socket)
}

/// Binds a socket to an address of its family.
pub fn bind(socket: &Socket, options: &TcpOptions, address: SocketAddr) -> io::Result<()> {
    options.apply_before_bind(socket)?;
    socket.bind(&address.into())
}

/// Starts listening on a bound socket.
pub fn start_listening(socket: &Socket, options: &TcpOptions, backlog: i32) -> io::Result<()> {
    options.apply_before_listen(socket)?;
    socket.listen(backlog)
}
