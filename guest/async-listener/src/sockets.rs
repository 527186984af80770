//! The listening sockets of one listener: one socket, or an IPv6 and an IPv4 socket on the same port.

use crate::bindings::exports::evconn::tcp::listener::ListeningSocket;
use crate::bindings::wasi::sockets::types::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6Address, Ipv6SocketAddress,
    TcpSocket,
};
use crate::socket::{self, Accepted, Connections};
use crate::watched::{Ready, Watched};
use evconn_listener_state::Options;

/// How many ports that the kernel chooses for IPv6 are tried for IPv4.
const PORT_ATTEMPTS: u32 = 16;

const UNSPECIFIED: Ipv6Address = (0, 0, 0, 0, 0, 0, 0, 0);
const LOOPBACK: Ipv6Address = (0, 0, 0, 0, 0, 0, 0, 1);

/// Sockets that listen, each with its connections: the IPv6 socket is the first.
pub type Sockets = Vec<(TcpSocket, Connections)>;

/// Returns sockets that listen on `address`, according to the options.
pub fn bind(address: IpSocketAddress, options: &Options) -> Result<Sockets, ErrorCode> {
    if options.dual_stack {
        return bind_pair(address, options.backlog);
    }
    if options.ipv6_only && matches!(address, IpSocketAddress::Ipv4(_)) {
        return Err(ErrorCode::InvalidArgument);
    }
    Ok(vec![socket::bind(address, options.backlog)?])
}

/// Takes over existing sockets, and makes those listen that do not listen yet.
pub fn adopt(mut sockets: Vec<ListeningSocket>, options: &Options) -> Result<Sockets, ErrorCode> {
    match &sockets[..] {
        [one] => {
            if options.ipv6_only && is_ipv4(one) {
                return Err(ErrorCode::InvalidArgument);
            }
            bound_address(one)?;
        }
        [first, second] => check_pair(first, second)?,
        _ => return Err(ErrorCode::InvalidArgument),
    }
    sockets.sort_by_key(is_ipv4);
    let listening = sockets
        .into_iter()
        .map(|socket| ensure_listening(socket, options.backlog));
    listening.collect()
}

fn ensure_listening(
    given: ListeningSocket,
    backlog: u32,
) -> Result<(TcpSocket, Connections), ErrorCode> {
    let ListeningSocket {
        socket,
        connections,
    } = given;
    let connections = match (connections, socket.get_is_listening()) {
        (Some(connections), true) => connections,
        (None, false) => socket::listen(&socket, backlog)?,
        (Some(_), false) | (None, true) => return Err(ErrorCode::InvalidState),
    };
    Ok((socket, connections))
}

/// Where connections come from: the streams of the sockets, in their order.
pub struct Streams {
    streams: Vec<Watched<TcpSocket>>,
    /// The one that is to be accepted from next.
    next: usize,
}

impl Streams {
    pub fn new(connections: impl IntoIterator<Item = Connections>) -> Self {
        Self {
            streams: connections.into_iter().map(Watched::new).collect(),
            next: 0,
        }
    }

    /// Accepts a connection, if a peer is in an accept queue. The sockets alternate, so that neither starves.
    pub fn accept(&mut self) -> Accepted {
        let count = self.streams.len();
        for skipped in 0..count {
            let at = (self.next + skipped) % count;
            match socket::accept(&mut self.streams[at]) {
                Accepted::Nothing => {}
                accepted => {
                    self.next = (at + 1) % count;
                    return accepted;
                }
            }
        }
        Accepted::Nothing
    }

    /// Returns what to wait for: each of them is ready when accepting returns something other than
    /// [`Accepted::Nothing`].
    pub fn ready(&mut self) -> impl Iterator<Item = Ready<'_, TcpSocket>> {
        self.streams.iter_mut().map(Watched::ready)
    }

    /// Returns the streams. None: it has ended.
    pub fn into_inner(self) -> impl Iterator<Item = Option<Connections>> {
        self.streams.into_iter().map(Watched::into_inner)
    }
}

/// Binds both sockets of a dual-stack listener. If one of them fails, neither is left open.
fn bind_pair(address: IpSocketAddress, backlog: u32) -> Result<Sockets, ErrorCode> {
    let IpSocketAddress::Ipv6(address) = address else {
        return Err(ErrorCode::InvalidArgument);
    };
    let ipv4 = counterpart(address).ok_or(ErrorCode::InvalidArgument)?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let first = socket::bind(IpSocketAddress::Ipv6(address), backlog)?;
        let port = port(&first.0.get_local_address()?);
        let ipv4 = Ipv4SocketAddress { port, ..ipv4 };
        match socket::bind(IpSocketAddress::Ipv4(ipv4), backlog) {
            Ok(second) => return Ok(vec![first, second]),
            // The port is free for IPv6, but not for IPv4. Another port may be free for both.
            Err(ErrorCode::AddressInUse) if address.port == 0 && attempt < PORT_ATTEMPTS => {}
            Err(code) => return Err(code),
        }
    }
}

fn is_ipv4(given: &ListeningSocket) -> bool {
    given.socket.get_address_family() == IpAddressFamily::Ipv4
}

/// Returns the address of an existing socket. Any error means that the socket is in the wrong state: a socket
/// that a failed connect has closed returns the code of that failure. A connected socket has an address, too; it cannot
/// be made to listen.
fn bound_address(given: &ListeningSocket) -> Result<IpSocketAddress, ErrorCode> {
    let address = given.socket.get_local_address();
    address.map_err(|_| ErrorCode::InvalidState)
}

/// Checks that two sockets are a dual-stack pair.
fn check_pair(first: &ListeningSocket, second: &ListeningSocket) -> Result<(), ErrorCode> {
    let (ipv6, ipv4) = match (bound_address(first)?, bound_address(second)?) {
        (IpSocketAddress::Ipv6(ipv6), IpSocketAddress::Ipv4(ipv4))
        | (IpSocketAddress::Ipv4(ipv4), IpSocketAddress::Ipv6(ipv6)) => (ipv6, ipv4),
        _ => return Err(ErrorCode::InvalidArgument),
    };
    let matches = counterpart(ipv6)
        .is_some_and(|wanted| wanted.address == ipv4.address && wanted.port == ipv4.port);
    matches.then_some(()).ok_or(ErrorCode::InvalidArgument)
}

/// Returns the IPv4 counterpart of an IPv6 address: of the unspecified or the loopback address.
fn counterpart(ipv6: Ipv6SocketAddress) -> Option<Ipv4SocketAddress> {
    let address = match ipv6.address {
        UNSPECIFIED => (0, 0, 0, 0),
        LOOPBACK => (127, 0, 0, 1),
        _ => return None,
    };
    Some(Ipv4SocketAddress {
        port: ipv6.port,
        address,
    })
}

fn port(address: &IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}
