//! The listening sockets of one listener: one, or an IPv6 and an IPv4 one on the same port.

use crate::options::Options;
use crate::socket::{self, Accepted};
use std::cell::Cell;
use wasi::io::poll::Pollable;
use wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6Address, Ipv6SocketAddress,
};
use wasi::sockets::tcp::TcpSocket;

/// How often a port that the kernel chose for IPv6 is tried for IPv4.
const PORT_ATTEMPTS: u32 = 16;

const UNSPECIFIED: Ipv6Address = (0, 0, 0, 0, 0, 0, 0, 0);
const LOOPBACK: Ipv6Address = (0, 0, 0, 0, 0, 0, 0, 1);

/// The sockets, and whose turn it is.
pub struct Sockets {
    sockets: Vec<TcpSocket>,
    next: Cell<usize>,
}

impl Sockets {
    /// Sockets that listen on `address`, as the options want it.
    pub fn bind(address: IpSocketAddress, options: &Options) -> Result<Self, ErrorCode> {
        if options.dual_stack {
            return bind_pair(address, options.backlog);
        }
        if options.ipv6_only && matches!(address, IpSocketAddress::Ipv4(_)) {
            return Err(ErrorCode::InvalidArgument);
        }
        Ok(Self::new(vec![socket::bind(address, options.backlog)?]))
    }

    /// Sockets that exist, made to listen if they do not.
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
        // That of IPv6 first, as `bind` has them.
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

    /// Accept one connection, if one waits. The sockets take turns, so that neither starves.
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

/// Both halves of a dual-stack listener. If one cannot be had, neither is left open.
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
            // The port was free for IPv6, but is not for IPv4: another one may be.
            Err(ErrorCode::AddressInUse) if address.port == 0 && attempt < PORT_ATTEMPTS => {}
            Err(code) => return Err(code),
        }
    }
}

/// The address of a socket that is to be adopted. A closed one has none, but would tell for ever
/// after why connecting failed.
fn bound_address(socket: &TcpSocket) -> Result<IpSocketAddress, ErrorCode> {
    socket.local_address().map_err(|_| ErrorCode::InvalidState)
}

/// Check that two sockets are the halves of a dual-stack listener.
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

/// The IPv4 address that means the same as an IPv6 one: of any interface, or of the loopback one.
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
