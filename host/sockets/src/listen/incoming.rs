//! Listening without the operating system: a guest's listening sockets are virtual, and get connections that the
//! host has accepted.
//!
//! Where it ends: which connections these are, and when the guest is given one, is up to the host.

use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use futures_util::task::AtomicWaker;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The ports that a guest gets when it binds port 0: those that IANA leaves to such uses.
const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;

/// The connections for a guest whose listening sockets are virtual: all of its sockets, until they connect.
///
/// The guest binds any address, which takes no system call and reserves nothing outside of it. Its first listening
/// socket gets the connections that the host [pushes](Self::push). If that one is dropped, the next one does.
///
/// A store has them in its [`TcpCtxView`](crate::TcpCtxView). Cheap to clone; the clones are the same queue.
#[derive(Clone, Debug, Default)]
pub struct Incoming(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Woken when the queue gets a connection.
    guest: AtomicWaker,
    /// Whether the guest waits for connections, and for nothing else.
    waits: AtomicBool,
    /// How many connections the guest has accepted.
    accepted: AtomicUsize,
    /// How many of these it has not dropped.
    open: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    connections: VecDeque<Arc<Endpoint>>,
    /// Who has bound a port of a family, listening or not: one socket for each address. A guest may have many, so
    /// they are not searched one by one.
    bound: HashMap<(IpAddressFamily, u16), Vec<(PortId, IpAddr)>>,
    /// Those that listen, in the order in which they began.
    listening: Vec<PortId>,
    ids: u64,
    /// How many ephemeral ports were given out.
    chosen: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PortId(u64);

impl Incoming {
    /// Returns an empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connection for the guest to accept.
    pub fn push(&self, connection: Arc<Endpoint>) {
        self.queue().connections.push_back(connection);
        self.0.guest.wake();
    }

    /// Takes the connections back that the guest has not accepted.
    pub fn take(&self) -> Vec<Arc<Endpoint>> {
        self.queue().connections.drain(..).collect()
    }

    /// Returns how many connections the guest has accepted.
    pub fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Returns how many of the connections that the guest has accepted it has not dropped.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Returns whether the guest waits for a connection and for nothing else, and there is none in the queue.
    ///
    /// A guest that is waiting is not running: this is for whoever runs it, between two polls of its future.
    pub fn is_awaited(&self) -> bool {
        self.0.waits.load(Ordering::Relaxed) && self.queue().connections.is_empty()
    }

    /// Returns whether the guest has nothing left to do: it has dropped all of its connections, and
    /// [waits](Self::is_awaited) for the next one.
    pub fn is_done(&self) -> bool {
        self.open() == 0 && self.is_awaited()
    }

    /// Binds a virtual socket.
    pub(crate) fn bind(&self, address: SocketAddr) -> Result<Port, ErrorCode> {
        let asked = address;
        let mut queue = self.queue();
        let address = match asked.port() {
            0 => queue.choose_port(asked)?,
            _ if queue.is_in_use(asked) => return Err(ErrorCode::AddressInUse),
            _ => asked,
        };
        let id = PortId(queue.ids);
        queue.ids += 1;
        let holders = queue.bound.entry(key(address)).or_default();
        holders.push((id, address.ip()));
        Ok(Port {
            incoming: self.clone(),
            id,
            asked,
            address,
        })
    }

    /// Records that the guest waits for connections and for nothing else, until this is dropped.
    pub(crate) fn wait(&self) -> Waits<'_> {
        self.0.waits.store(true, Ordering::Relaxed);
        Waits(&self.0.waits)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds this lock.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn choose_port(&mut self, address: SocketAddr) -> Result<SocketAddr, ErrorCode> {
        for _ in EPHEMERAL {
            let port = EPHEMERAL.start() + self.chosen;
            self.chosen = (self.chosen + 1) % (EPHEMERAL.end() - EPHEMERAL.start() + 1);
            let chosen = SocketAddr::new(address.ip(), port);
            if !self.is_in_use(chosen) {
                return Ok(chosen);
            }
        }
        Err(ErrorCode::AddressInUse)
    }

    fn is_in_use(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let conflicts = |(_, other): &(PortId, IpAddr)| {
            *other == ip || other.is_unspecified() || ip.is_unspecified()
        };
        let holders = self.bound.get(&key(address));
        holders.is_some_and(|holders| holders.iter().any(conflicts))
    }

    fn release(&mut self, id: PortId, address: SocketAddr) {
        if let Some(holders) = self.bound.get_mut(&key(address)) {
            holders.retain(|(holder, _)| *holder != id);
            if holders.is_empty() {
                self.bound.remove(&key(address));
            }
        }
        self.listening.retain(|listening| *listening != id);
    }

    fn take(&mut self, id: PortId) -> Option<Arc<Endpoint>> {
        match self.listening.first() == Some(&id) {
            true => self.connections.pop_front(),
            false => None,
        }
    }
}

fn key(address: SocketAddr) -> (IpAddressFamily, u16) {
    (IpAddressFamily::of(address), address.port())
}

/// The address of a bound socket, until it is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    incoming: Incoming,
    id: PortId,
    /// What the guest has asked for.
    asked: SocketAddr,
    address: SocketAddr,
}

impl Port {
    /// Returns the address that the guest has asked for, unless any was right.
    pub fn asked(&self) -> Option<SocketAddr> {
        let is_any = self.asked.ip().is_unspecified() && self.asked.port() == 0;
        (!is_any).then_some(self.asked)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen on it.
    pub fn listen(self) -> VirtualListener {
        self.incoming.queue().listening.push(self.id);
        VirtualListener { port: self }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.incoming.queue().release(self.id, self.address);
    }
}

/// A listening socket that gets its connections from the host.
#[derive(Debug)]
pub(crate) struct VirtualListener {
    port: Port,
}

impl VirtualListener {
    pub fn address(&self) -> SocketAddr {
        self.port.address
    }

    pub fn incoming(&self) -> &Incoming {
        &self.port.incoming
    }

    /// Accepts a connection, if there is one for this socket.
    pub fn accept(&self) -> Option<(Arc<Endpoint>, Accepted)> {
        let incoming = self.incoming();
        let connection = incoming.queue().take(self.port.id)?;
        Some((connection, Accepted::new(self.address(), incoming)))
    }

    /// Waits until there is a connection for this socket.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let incoming = self.incoming();
        // Registered first: a connection may be pushed in between.
        incoming.0.guest.register(cx.waker());
        let queue = incoming.queue();
        let is_first = queue.listening.first() == Some(&self.port.id);
        match is_first && !queue.connections.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
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
    fn new(listener: SocketAddr, incoming: &Incoming) -> Self {
        incoming.0.accepted.fetch_add(1, Ordering::Relaxed);
        incoming.0.open.fetch_add(1, Ordering::Relaxed);
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
        self.incoming.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Records that a guest waits for connections and for nothing else.
pub(crate) struct Waits<'a>(&'a AtomicBool);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_port_is_in_use_until_its_socket_is_dropped() {
        let incoming = Incoming::new();
        let bind = |text| incoming.bind(address(text));
        let held = [bind("0.0.0.0:80"), bind("[::]:80"), bind("127.0.0.1:81")];
        let held = held.map(|port| port.expect("it is free"));
        for used in ["0.0.0.0:80", "127.0.0.1:80", "[::1]:80", "0.0.0.0:81"] {
            assert_eq!(bind(used).err(), Some(ErrorCode::AddressInUse), "{used}");
        }
        bind("127.0.0.2:81").expect("another address");
        drop(held);
        bind("127.0.0.1:80").expect("it is free again");
    }

    #[test]
    fn ephemeral_ports_differ() {
        let incoming = Incoming::new();
        let any = || incoming.bind(address("127.0.0.1:0")).expect("a port");
        let (one, other) = (any(), any());
        assert_ne!(one.address(), other.address());
        assert!(EPHEMERAL.contains(&one.address().port()));
        assert_eq!(one.address().ip(), other.address().ip());
    }

    #[test]
    fn ephemeral_ports_are_used_up_and_given_again() {
        let incoming = Incoming::new();
        let any = || incoming.bind(address("0.0.0.0:0"));
        let mut held: Vec<_> = std::iter::from_fn(|| any().ok()).take(3).collect();
        held.remove(1);
        incoming.queue().chosen = 0;
        let again = any().expect("the second one is free").address();
        assert_eq!(again.port(), EPHEMERAL.start() + 1);
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
