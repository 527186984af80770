//! The operations of wasi-sockets: bind, listen and accept.

use crate::bindings::wasi::sockets::types::{
    ErrorCode, IpAddressFamily, IpSocketAddress, TcpSocket,
};
use crate::watched::{Item, Watched};
use wit_bindgen_async::StreamReader;

/// The connections of a listening socket.
pub type Connections = StreamReader<TcpSocket>;

/// Returns a socket that listens on `address`.
pub fn bind(address: IpSocketAddress, backlog: u32) -> Result<(TcpSocket, Connections), ErrorCode> {
    let socket = TcpSocket::create(family(&address))?;
    socket.bind(address)?;
    let connections = listen(&socket, backlog)?;
    Ok((socket, connections))
}

/// Makes a bound socket listen.
pub fn listen(socket: &TcpSocket, backlog: u32) -> Result<Connections, ErrorCode> {
    socket.set_listen_backlog_size(u64::from(backlog))?;
    socket.listen()
}

/// The outcome of an attempt to accept.
pub enum Accepted {
    /// A connection was accepted.
    Connection(TcpSocket, IpSocketAddress),
    /// A connection was accepted, but its peer was gone before its address was read.
    Aborted,
    /// No peer is in the accept queue.
    Nothing,
    /// Accepting has failed.
    Failed(ErrorCode),
}

/// Accepts a connection, if a peer is in the accept queue.
///
/// An error of accept comes as a socket that it has closed: each call on it fails with that error. A connection whose
/// peer is gone still has a local address.
pub fn accept(connections: &mut Watched<TcpSocket>) -> Accepted {
    let socket = match connections.take() {
        Item::Read(socket) => socket,
        Item::Nothing => return Accepted::Nothing,
        // A host ends the stream only if it can never accept again.
        Item::Ended => return Accepted::Failed(ErrorCode::InvalidState),
    };
    match socket.get_remote_address() {
        Ok(peer_address) => Accepted::Connection(socket, peer_address),
        Err(_) => match socket.get_local_address() {
            Ok(_) => Accepted::Aborted,
            Err(code) => Accepted::Failed(code),
        },
    }
}

fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}
