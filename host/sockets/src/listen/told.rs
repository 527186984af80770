//! What a guest is told of the connections of its virtual sockets, in place of what the operating system says.

use super::incoming::{Incoming, Port};
use crate::connection::Endpoint;
use crate::policy::IpAddressFamily;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection of a guest to itself.
#[derive(Debug)]
pub(crate) struct OwnConnection {
    pub endpoint: Arc<Endpoint>,
    pub addresses: OwnAddresses,
}

/// The addresses of one side of it.
#[derive(Debug)]
pub(crate) struct OwnAddresses {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The port of the side that has connected, until that is dropped.
    pub _port: Option<Port>,
}

/// What a guest is told of a connection of a virtual socket, in place of what the operating system says.
#[derive(Debug)]
pub(crate) enum Told {
    OfHost(Accepted),
    Own(OwnAddresses),
}

impl Told {
    /// Returns whether the connection is one of the guest to itself.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    pub fn local(&self, endpoint: &Endpoint) -> io::Result<SocketAddr> {
        match self {
            Self::OfHost(accepted) => {
                Ok(accepted.local(endpoint.local_address()?, endpoint.plain().is_unix()))
            }
            Self::Own(addresses) => Ok(addresses.local),
        }
    }

    pub fn remote(&self, endpoint: &Endpoint) -> SocketAddr {
        match self {
            Self::OfHost(accepted) => accepted.remote(endpoint.peer_address()),
            Self::Own(addresses) => addresses.remote,
        }
    }
}

/// What a connection is to a guest that has accepted it from a virtual socket, until the guest drops it.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Where the guest listens.
    listener: SocketAddr,
    incoming: Incoming,
}

impl Accepted {
    pub fn new(listener: SocketAddr, incoming: &Incoming) -> Self {
        incoming.count_accepted();
        Self {
            listener,
            incoming: incoming.clone(),
        }
    }

    pub fn family(&self) -> IpAddressFamily {
        IpAddressFamily::of(self.listener)
    }

    /// Returns the address on this side as the guest is told: where the connection came in, or, if that is of
    /// another family than the listening socket, the port of that on loopback.
    pub fn local(&self, address: SocketAddr, is_unix: bool) -> SocketAddr {
        match IpAddressFamily::of(address) == self.family() && !is_unix {
            true => address,
            false => self.family().loopback(self.listener.port()),
        }
    }

    /// Returns the peer's address as the guest is told: if it is of another family than the listening socket, its
    /// port on loopback.
    pub fn remote(&self, address: SocketAddr) -> SocketAddr {
        match IpAddressFamily::of(address) == self.family() {
            true => address,
            false => self.family().loopback(address.port()),
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.incoming.count_dropped();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_that_cannot_be_told_is_one_of_loopback() {
        let incoming = Incoming::new();
        let v4 = Accepted::new(address("0.0.0.0:80"), &incoming);
        let v6 = Accepted::new(address("[::]:80"), &incoming);
        let (here, there) = (address("192.0.2.1:9876"), address("[2001:db8::1]:9876"));
        assert_eq!(v4.local(here, false), here);
        assert_eq!(v4.local(here, true), address("127.0.0.1:80"));
        assert_eq!(v4.local(there, false), address("127.0.0.1:80"));
        assert_eq!(v6.local(there, false), there);
        assert_eq!(v6.local(here, false), address("[::1]:80"));
        assert_eq!(v4.remote(here), here);
        assert_eq!(v4.remote(there), address("127.0.0.1:9876"));
        assert_eq!(v6.remote(here), address("[::1]:9876"));
        assert_eq!(incoming.open(), 2);
        drop((v4, v6));
        assert_eq!((incoming.open(), incoming.accepted()), (0, 2));
    }
}
