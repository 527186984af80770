//! The listening sockets of one listener: one socket, or an IPv6 and an IPv4 socket on the same port.

use crate::socket::{self, Accepted};
use evconn_listener_state::Options;
use std::cell::Cell;
use wasi::io::poll::Pollable;
use wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6Address, Ipv6SocketAddress,
};
use wasi::sockets::tcp::TcpSocket;

/// How many ports that the kernel chooses for IPv6 are tried for IPv4.
const PORT_ATTEMPTS: u32 = 16;

const UNSPECIFIED: Ipv6Address = (0, 0, 0, 0, 0, 0, 0, 0);
const LOOPBACK: Ipv6Address = (0, 0, 0, 0, 0, 0, 0, 1);

/// The sockets, and the index of the one that is to be accepted from next.
pub struct Sockets {
    sockets: Vec<TcpSocket>,
    next: Cell<usize>,
}

impl Sockets {
    /// Returns sockets that listen on `address`, according to the options.
    pub fn bind(address: IpSocketAddress, options: &Options) -> Result<Self, ErrorCode> {
        if options.dual_stack {
            return bind_pair(address, options.backlog);
        }
        if options.ipv6_only && matches!(address, IpSocketAddress::Ipv4(_)) {
            return Err(ErrorCode::InvalidArgument);
        }
        Ok(Self::new(vec![socket::bind(address, options.backlog)?]))
    }

    /// Takes over existing sockets, and makes those listen that do not listen yet.
    pub fn adopt(mut sockets: Vec<TcpSocket>, options: &Options) -> Result<Self, ErrorCode> {
        match &sockets[..] {
            [socket] => {
                if options.ipv6_only && socket.address_family() == IpAddressFamily::Ipv4 {
                    return Err(ErrorCode::InvalidArgument);
                }
                bound_address(socket)?;
            }
            [first, second] => check_pair(first, second)?,
            _ => return Err(ErrorCode::InvalidArgument),
        }
        // The IPv6 socket is the first, as in `bind`.
        sockets.sort_by_key(|socket| socket.address_family() == IpAddressFamily::Ipv4);
        for socket in &sockets {
            socket::ensure_listening(socket, options.backlog)?;
        }
        Ok(Self::new(sockets))
    }

    pub fn into_inner(self) -> Vec<TcpSocket> {
        self.sockets
    }

    fn new(sockets: Vec<TcpSocket>) -> Self {
        Self {
            sockets,
            next: Cell::new(0),
        }
    }

    /// Accepts a connection, if a peer is in an accept queue. The sockets alternate, so that neither starves.
    pub fn accept(&self) -> Accepted {
        let (before, after) = self
            .sockets
            .split_at_checked(self.next.get())
            .unwrap_or_default();
        let in_turn = after.iter().chain(before);
        for (skipped, socket) in in_turn.enumerate() {
            match socket::accept(socket) {
                Accepted::Nothing => {}
                accepted => {
                    let turn = self.next.get() + skipped + 1;
                    self.next.set(turn % self.sockets.len());
                    return accepted;
                }
            }
        }
        Accepted::Nothing
    }

    pub fn subscribe(&self) -> Vec<Pollable> {
        self.sockets.iter().map(TcpSocket::subscribe).collect()
    }

    pub fn local_addresses(&self) -> Result<Vec<IpSocketAddress>, ErrorCode> {
        self.sockets.iter().map(TcpSocket::local_address).collect()
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
        let port = port(&first.local_address()?);
        match socket::bind(
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, ..ipv4 }),
            backlog,
        ) {
            Ok(second) => return Ok(Sockets::new(vec![first, second])),
            // The port is free for IPv6, but not for IPv4. Another port may be free for both.
            Err(ErrorCode::AddressInUse) if address.port == 0 && attempt < PORT_ATTEMPTS => {}
            Err(code) => return Err(code),
        }
    }
}

/// Returns the address of an existing socket. Any error means that the socket is in the wrong state: a socket
/// that a failed connect has closed returns the code of that failure.
fn bound_address(socket: &TcpSocket) -> Result<IpSocketAddress, ErrorCode> {
    socket.local_address().map_err(|_| ErrorCode::InvalidState)
}

/// Checks that two sockets are a dual-stack pair.
fn check_pair(first: &TcpSocket, second: &TcpSocket) -> Result<(), ErrorCode> {
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
