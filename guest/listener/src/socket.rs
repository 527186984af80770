//! The operations of wasi-sockets: bind, listen and accept.

use crate::bindings::evconn::tcp::connection::Connection;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;

/// Returns a socket that listens on `address`.
pub fn bind(address: IpSocketAddress, backlog: u32) -> Result<TcpSocket, ErrorCode> {
    let socket = create_tcp_socket(family(&address))?;
    socket.start_bind(&instance_network(), address)?;
    until_done(&socket, || socket.finish_bind())?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// Makes a socket listen, if it does not listen yet.
pub fn ensure_listening(socket: &TcpSocket, backlog: u32) -> Result<(), ErrorCode> {
    // After `start-listen`, and before `finish-listen`, wasmtime-wasi reports the socket as listening, but its
    // pollable is always ready. So `finish-listen` is called first.
    match until_done(socket, || socket.finish_listen()) {
        Ok(()) => Ok(()),
        Err(ErrorCode::NotInProgress) if socket.is_listening() => Ok(()),
        Err(ErrorCode::NotInProgress) => listen(socket, backlog),
        Err(code) => Err(code),
    }
}

/// Makes a bound socket listen.
fn listen(socket: &TcpSocket, backlog: u32) -> Result<(), ErrorCode> {
    socket.set_listen_backlog_size(u64::from(backlog))?;
    socket.start_listen()?;
    until_done(socket, || socket.finish_listen())
}

/// The outcome of an attempt to accept.
pub enum Accepted {
    /// A connection was accepted.
    Connection(Connection),
    /// A connection was accepted, but its peer was gone before its address was read.
    Aborted,
    /// No peer is in the accept queue, or the host has returned early.
    Nothing,
    /// Accepting has failed.
    Failed(ErrorCode),
}

/// Accepts a connection, if a peer is in the accept queue.
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
            // The streams are children of the socket, and are dropped before it.
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
