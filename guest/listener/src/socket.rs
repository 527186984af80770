//! The steps of wasi-sockets from nothing to a connection.

use crate::bindings::evconn::tcp::connection::Connection;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;

/// A socket that listens on `address`.
pub fn bind(address: IpSocketAddress, backlog: u32) -> Result<TcpSocket, ErrorCode> {
    let socket = create_tcp_socket(family(&address))?;
    socket.start_bind(&instance_network(), address)?;
    until_done(&socket, || socket.finish_bind())?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// Make a socket listen, if it does not.
pub fn ensure_listening(socket: &TcpSocket, backlog: u32) -> Result<(), ErrorCode> {
    // One that was told to, but was never asked whether it does, says that it listens. Its pollable
    // is always ready until then.
    match until_done(socket, || socket.finish_listen()) {
        Ok(()) => Ok(()),
        Err(ErrorCode::NotInProgress) if socket.is_listening() => Ok(()),
        Err(ErrorCode::NotInProgress) => listen(socket, backlog),
        Err(code) => Err(code),
    }
}

/// Make a bound socket listen.
fn listen(socket: &TcpSocket, backlog: u32) -> Result<(), ErrorCode> {
    socket.set_listen_backlog_size(u64::from(backlog))?;
    socket.start_listen()?;
    until_done(socket, || socket.finish_listen())
}

/// What came of an attempt to accept.
pub enum Accepted {
    /// A connection.
    Connection(Connection),
    /// A peer that had gone before its address was read.
    Aborted,
    /// Nobody waits, or the host wants a pause.
    Nothing,
    /// An error of accept.
    Failed(ErrorCode),
}

/// Accept one connection, if one waits.
pub fn accept(socket: &TcpSocket) -> Accepted {
    let (socket, input, output) = match socket.accept() {
        Ok(accepted) => accepted,
        Err(ErrorCode::WouldBlock) => return Accepted::Nothing,
        Err(code) => return Accepted::Failed(code),
    };
    match socket.remote_address() {
        Ok(peer_address) => Accepted::Connection(Connection {
            input,
            output,
            socket,
            peer_address,
        }),
        Err(_) => {
            // The streams are the socket's children: they go first.
            drop(input);
            drop(output);
            Accepted::Aborted
        }
    }
}

fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

fn until_done<T>(
    socket: &TcpSocket,
    mut finish: impl FnMut() -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match finish() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}
