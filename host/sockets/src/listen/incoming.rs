//! Listening without the operating system: a guest's listening sockets are virtual, and get connections that the
//! host has accepted.
//!
//! A guest may also connect to its own listening sockets on loopback addresses, as a program may that makes a pair of
//! sockets in this way.
//!
//! Where it ends: which connections these are, and when the guest is given one, is up to the host.

use super::told::{Accepted, OwnConnection, Told};
use super::waits::{AllAwaited, Awaited, Awaits};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::policy::IpAddressFamily;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The ports that a guest gets when it binds port 0: those that IANA leaves to such uses.
const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;

/// How many connections to itself a guest may have that it has not accepted, for each listening socket.
const MOST_OWN: usize = 128;

/// The connections for a guest whose listening sockets are virtual: all of its sockets, until they connect.
///
/// The guest binds any address, which takes no system call and reserves nothing outside of it. Its first listening
/// socket gets the connections that the host [pushes](Self::push), but for those that are [for a
/// port](Self::push_for). If that one is dropped, the next one does.
///
/// A store has them in its [`TcpCtxView`](crate::TcpCtxView). Cheap to clone; the clones are the same queue.
#[derive(Clone, Debug, Default)]
pub struct Incoming(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Whether the guest waits for connections, and for nothing else.
    waits: AtomicBool,
    /// Whether it does so up to a time.
    has_timeout: AtomicBool,
    /// Whether it has done so up to a time, since it has accepted the last one.
    has_paused: AtomicBool,
    /// Whether the guest has asked for a connection.
    was_asked: AtomicBool,
    /// How many connections the guest has accepted.
    accepted: AtomicUsize,
    /// How many of these it has not dropped.
    open: AtomicUsize,
    /// What a guest traps with that waits for connections and for nothing else.
    end: Mutex<Option<wasmtime::Error>>,
    /// What a guest of WASI 0.3 waits for.
    awaited: AllAwaited,
}

#[derive(Debug, Default)]
struct Queue {
    /// Each with the port of the socket that it is for, unless it is for the first one.
    connections: VecDeque<(Option<u16>, Arc<Endpoint>)>,
    /// Who has bound a port of a family, listening or not: one socket for each address. A guest may have many, so
    /// they are not searched one by one.
    bound: HashMap<(IpAddressFamily, u16), Vec<(PortId, IpAddr)>>,
    /// Those that listen, in the order in which they began.
    listening: Vec<PortId>,
    /// Who waits for a connection of a listening socket.
    waiting: Vec<(PortId, Waker)>,
    /// The guest's connections to its own listening sockets that are not accepted yet.
    own: HashMap<PortId, VecDeque<OwnConnection>>,
    ids: u64,
    /// How many ephemeral ports were given out.
    chosen: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PortId(u64);

impl Incoming {
    /// Returns an empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connection for the guest to accept on its first listening socket.
    pub fn push(&self, connection: Arc<Endpoint>) {
        self.add(None, connection);
    }

    /// Adds a connection for the guest to accept on a listening socket with this port.
    pub fn push_for(&self, port: u16, connection: Arc<Endpoint>) {
        self.add(Some(port), connection);
    }

    fn add(&self, port: Option<u16>, connection: Arc<Endpoint>) {
        let mut queue = self.queue();
        queue.connections.push_back((port, connection));
        wake_waiting(queue);
    }

    /// Takes the connections back that the guest has not accepted.
    pub fn take(&self) -> Vec<Arc<Endpoint>> {
        let mut queue = self.queue();
        let connections = queue.connections.drain(..);
        connections.map(|(_, connection)| connection).collect()
    }

    /// Takes a connection back, unless the guest has accepted it. Returns whether that was so.
    pub fn remove(&self, connection: &Arc<Endpoint>) -> bool {
        let mut queue = self.queue();
        let is_it = |(_, other): &(_, Arc<Endpoint>)| Arc::ptr_eq(other, connection);
        let found = queue.connections.iter().position(is_it);
        let removed = found.and_then(|index| queue.connections.remove(index));
        drop(queue);
        // Not under the lock: this may be the last reference to it.
        removed.is_some()
    }

    /// Returns whether the guest has ever asked for a connection: it listens, and has tried to accept one or waited for
    /// it.
    pub fn was_asked(&self) -> bool {
        self.0.was_asked.load(Ordering::Relaxed)
    }

    pub(super) fn count_accepted(&self) {
        self.0.has_paused.store(false, Ordering::Relaxed);
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_dropped(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
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
    /// If it waits up to a time, it may have something to do by then; so that is true from the second time on that it
    /// does so without accepting any in between.
    ///
    /// A guest that is waiting is not running: this is for whoever runs it, between two polls of its future.
    ///
    /// Of a guest of WASI 0.3, it is known only if whoever runs it says when it is [idle](Self::set_idle). It may wait up
    /// to a time in several tasks: it does nothing by then once one of these times has come, while it waited for nothing
    /// but connections and times, and it has accepted no other connection since.
    pub fn is_awaited(&self) -> bool {
        let polls = self.0.waits.load(Ordering::Relaxed) && !self.0.awaited.has(Awaited::Other);
        (polls || self.is_accepting()) && self.queue().connections.is_empty()
    }

    /// Returns whether a guest of WASI 0.3 is idle, and waits for connections and nothing else.
    fn is_accepting(&self) -> bool {
        self.0.awaited.is_idle() && self.may_be_awaited()
    }

    /// Returns whether a guest of WASI 0.3, if it is idle, waits for connections and nothing else.
    pub fn may_be_awaited(&self) -> bool {
        let awaited = &self.0.awaited;
        let does_nothing_by_then =
            || !awaited.has(Awaited::Time) || self.0.has_paused.load(Ordering::Relaxed);
        awaited.has(Awaited::Connection) && !awaited.has(Awaited::Other) && does_nothing_by_then()
    }

    /// Sets whether a guest of WASI 0.3 has nothing to do but to wait for what the host does. To be called by whoever runs
    /// it, before it asks whether the guest [waits](Self::is_awaited).
    pub fn set_idle(&self, is_idle: bool) {
        self.0.awaited.set_idle(is_idle);
    }

    /// Records that a guest of WASI 0.3 waits for something that the host does for it, until what this returns is dropped:
    /// so it does not wait for connections alone.
    pub fn waits_for_host(&self) -> Awaits {
        self.awaits(Awaited::Other)
    }

    /// Records that a guest of WASI 0.3 waits for this, until what this returns is dropped.
    pub(crate) fn awaits(&self, what: Awaited) -> Awaits {
        Awaits::new(self, what)
    }

    pub(super) fn all_awaited(&self) -> &AllAwaited {
        &self.0.awaited
    }

    /// Notes that a time has come up to which a guest of WASI 0.3 has waited.
    pub(crate) fn time_has_come(&self) {
        let awaited = &self.0.awaited;
        if awaited.has(Awaited::Connection) && !awaited.has(Awaited::Other) {
            self.0.has_paused.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether the guest that [waits](Self::is_awaited) does so up to a time, when it runs again by itself.
    pub fn has_timeout(&self) -> bool {
        self.0.has_timeout.load(Ordering::Relaxed) || self.0.awaited.has(Awaited::Time)
    }

    /// Returns whether the guest has nothing left to do: it has dropped all of its connections, and
    /// [waits](Self::is_awaited) for the next one.
    pub fn is_done(&self) -> bool {
        self.open() == 0 && self.is_awaited()
    }

    /// Has the guest trap with this error, if it [waits](Self::is_awaited): to be polled once more by whoever runs it.
    /// Otherwise it does when it waits next.
    pub fn end(&self, error: wasmtime::Error) {
        *self.end_of_guest() = Some(error);
    }

    fn end_of_guest(&self) -> MutexGuard<'_, Option<wasmtime::Error>> {
        // No code panics while it holds this lock.
        self.0.end.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Returns whether the guest listens on this loopback address.
    pub(crate) fn listens_at(&self, remote: SocketAddr) -> bool {
        self.queue().listener_at(remote).is_some()
    }

    /// Adds a connection of the guest to its own listening socket at this address.
    ///
    /// # Errors
    /// If it does not listen there, or that has many connections that are not accepted.
    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        connection: OwnConnection,
    ) -> Result<(), ErrorCode> {
        let mut queue = self.queue();
        let listener = queue.listener_at(remote);
        let listener = listener.ok_or(ErrorCode::ConnectionRefused)?;
        let connections = queue.own.entry(listener).or_default();
        if connections.len() >= MOST_OWN {
            return Err(ErrorCode::ConnectionRefused);
        }
        connections.push_back(connection);
        wake_waiting(queue);
        Ok(())
    }

    /// Records that the guest waits for connections and for nothing else, until this is dropped.
    pub(crate) fn wait(&self) -> Waits<'_> {
        self.0.has_timeout.store(false, Ordering::Relaxed);
        self.0.waits.store(true, Ordering::Relaxed);
        Waits(self)
    }

    /// Records the same of a guest that waits up to a time.
    pub(crate) fn wait_for_a_time(&self) -> Waits<'_> {
        self.0.has_timeout.store(true, Ordering::Relaxed);
        let has_paused = self.0.has_paused.swap(true, Ordering::Relaxed);
        self.0.waits.store(has_paused, Ordering::Relaxed);
        Waits(self)
    }

    fn note_asked(&self) {
        // Mostly it is known: then nothing is written that other threads read.
        if !self.was_asked() {
            self.0.was_asked.store(true, Ordering::Relaxed);
        }
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

    /// Returns the connections that are refused for that.
    fn release(&mut self, id: PortId, address: SocketAddr) -> Option<VecDeque<OwnConnection>> {
        if let Some(holders) = self.bound.get_mut(&key(address)) {
            holders.retain(|(holder, _)| *holder != id);
            if holders.is_empty() {
                self.bound.remove(&key(address));
            }
        }
        self.stop_listening(id)
    }

    /// Lets another listening socket have the host's connections. Returns those that are refused for that.
    fn stop_listening(&mut self, id: PortId) -> Option<VecDeque<OwnConnection>> {
        self.listening.retain(|listening| *listening != id);
        self.waiting.retain(|(waiting, _)| *waiting != id);
        self.own.remove(&id)
    }

    /// Has a listening socket's task woken by the next change.
    fn wait(&mut self, id: PortId, waker: &Waker) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == id) {
            Some((_, waiting)) => waiting.clone_from(waker),
            None => self.waiting.push((id, waker.clone())),
        }
    }

    /// Returns the listening socket that this loopback address leads to.
    fn listener_at(&self, remote: SocketAddr) -> Option<PortId> {
        let ip = remote.ip();
        let reaches = |(id, local): &&(PortId, IpAddr)| {
            (*local == ip || local.is_unspecified()) && self.listening.contains(id)
        };
        let holders = self.bound.get(&key(remote));
        let holder = holders.filter(|_| ip.is_loopback())?.iter().find(reaches);
        holder.map(|(id, _)| *id)
    }

    /// Takes the next connection for a listening socket: its guest's own ones come first.
    fn take(&mut self, id: PortId, port: u16) -> Option<Taken> {
        if let Some(own) = self.own.get_mut(&id).and_then(VecDeque::pop_front) {
            return Some(Taken::Own(own));
        }
        let (_, connection) = self.connections.remove(self.next_for(id, port)?)?;
        Some(Taken::OfHost(connection))
    }

    fn has(&self, id: PortId, port: u16) -> bool {
        let own = self.own.get(&id);
        own.is_some_and(|own| !own.is_empty()) || self.next_for(id, port).is_some()
    }

    /// Returns the place of the host's next connection for a listening socket.
    fn next_for(&self, id: PortId, port: u16) -> Option<usize> {
        let is_first = self.listening.first() == Some(&id);
        let is_for_it = |(wanted, _): &(Option<u16>, _)| wanted.map_or(is_first, |it| it == port);
        self.connections.iter().position(is_for_it)
    }
}

/// Wakes all who wait: which of them a connection is for, they find out.
fn wake_waiting(mut queue: MutexGuard<'_, Queue>) {
    let waiting = std::mem::take(&mut queue.waiting);
    // Not under the lock.
    drop(queue);
    waiting.into_iter().for_each(|(_, waker)| waker.wake());
}

/// A connection out of the queue.
enum Taken {
    OfHost(Arc<Endpoint>),
    Own(OwnConnection),
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
        let mut queue = self.incoming.queue();
        let refused = queue.release(self.id, self.address);
        // Another socket may be the first that listens now.
        wake_waiting(queue);
        // Not under the lock: a connection may have a port, too.
        drop(refused);
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
    pub fn accept(&self) -> Option<(Arc<Endpoint>, Told)> {
        let incoming = self.incoming();
        incoming.note_asked();
        let taken = incoming.queue().take(self.port.id, self.address().port())?;
        Some(match taken {
            Taken::OfHost(endpoint) => {
                let accepted = Accepted::new(self.address(), incoming);
                (endpoint, Told::OfHost(accepted))
            }
            Taken::Own(own) => (own.endpoint, Told::Own(own.addresses)),
        })
    }

    /// Waits until there is a connection for this socket.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let incoming = self.incoming();
        incoming.note_asked();
        let mut queue = incoming.queue();
        if queue.has(self.port.id, self.address().port()) {
            return Poll::Ready(());
        }
        queue.wait(self.port.id, cx.waker());
        Poll::Pending
    }

    /// Accepts no more: the next socket that listens gets the host's connections, and the guest's own ones are
    /// refused. The address is in use until the socket is dropped.
    pub fn stop(&self) {
        let mut queue = self.incoming().queue();
        let refused = queue.stop_listening(self.port.id);
        wake_waiting(queue);
        drop(refused);
    }
}

/// Records that a guest waits for connections and for nothing else.
pub(crate) struct Waits<'a>(&'a Incoming);

impl Waits<'_> {
    /// Returns what the guest is to trap with, if it is.
    pub fn end(&self) -> Option<wasmtime::Error> {
        self.0.end_of_guest().take()
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.0.waits.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::OwnAddresses;
    use crate::transport::Plain;

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

    /// A connection from nowhere.
    fn connection() -> Arc<Endpoint> {
        let (socket, _peer) = crate::sys::pair().expect("a pair");
        Arc::new(Endpoint::new(Plain::unix(socket), address("127.0.0.1:1")))
    }

    fn is_ready(listener: &VirtualListener) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        listener.poll_ready(&mut cx).is_ready()
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_first_that_listens_gets_the_connections() {
        let incoming = Incoming::new();
        let bind = |text| incoming.bind(address(text)).expect("a port");
        let (later, first) = (bind("0.0.0.0:80"), bind("0.0.0.0:81"));
        let first = first.listen();
        let later = later.listen();
        for _ in 0..2 {
            incoming.push(connection());
        }
        assert!(is_ready(&first) && !is_ready(&later));
        assert!(later.accept().is_none());
        let accepted = first.accept().expect("a connection");
        drop(first);
        assert!(is_ready(&later));
        let other = later.accept().expect("the next one gets the rest");
        assert!(!is_ready(&later) && later.accept().is_none());
        assert_eq!((incoming.open(), incoming.accepted()), (2, 2));
        drop((accepted, other));
        assert_eq!((incoming.open(), incoming.accepted()), (0, 2));
        let waits = incoming.wait();
        assert!(incoming.is_done());
        incoming.push(connection());
        assert!(!incoming.is_done() && !incoming.is_awaited());
        drop(waits);
        assert_eq!(incoming.take().len(), 1);
        assert!(!incoming.is_awaited());
    }

    /// A guest may have a task for each of its listening sockets.
    #[cfg(unix)]
    #[tokio::test]
    async fn all_who_wait_are_woken() {
        let incoming = Incoming::new();
        let listen = |text| incoming.bind(address(text)).expect("a port").listen();
        let (first, second) = (listen("0.0.0.0:80"), listen("0.0.0.0:81"));
        let wait = |listener: &VirtualListener| {
            let mut ready = Box::pin(std::future::poll_fn(|cx| listener.poll_ready(cx)));
            assert!(futures_util::FutureExt::now_or_never(ready.as_mut()).is_none());
        };
        let woken = || std::mem::take(&mut incoming.queue().waiting).len();
        wait(&first);
        wait(&second);
        wait(&second);
        assert_eq!(woken(), 2);
        wait(&second);
        // The second one is the first that listens now.
        first.stop();
        assert_eq!(woken(), 0);
        incoming.push(connection());
        assert!(second.accept().is_some() && first.accept().is_none());
        assert_eq!(first.address(), address("0.0.0.0:80"));
        assert!(incoming.bind(address("0.0.0.0:80")).is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_connection_is_taken_back_unless_it_was_accepted() {
        let incoming = Incoming::new();
        let listener = incoming.bind(address("0.0.0.0:80")).expect("a port");
        let listener = listener.listen();
        assert!(!incoming.was_asked());
        let (one, other) = (connection(), connection());
        incoming.push(Arc::clone(&one));
        incoming.push(Arc::clone(&other));
        assert!(incoming.remove(&one) && !incoming.remove(&one));
        let (accepted, _told) = listener.accept().expect("the other one");
        assert!(Arc::ptr_eq(&accepted, &other) && !incoming.remove(&other));
        assert!(incoming.was_asked());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_connection_may_be_for_a_port() {
        let incoming = Incoming::new();
        let listen = |text| incoming.bind(address(text)).expect("a port").listen();
        let (first, second) = (listen("0.0.0.0:80"), listen("0.0.0.0:81"));
        incoming.push_for(82, connection());
        assert!(!is_ready(&first) && !is_ready(&second));
        incoming.push_for(81, connection());
        assert!(!is_ready(&first) && is_ready(&second));
        assert!(second.accept().is_some() && second.accept().is_none());
        incoming.push(connection());
        assert!(first.accept().is_some() && !is_ready(&second));
        assert!(listen("0.0.0.0:82").accept().is_some());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_guests_own_connections_come_first_and_go_where_they_are_meant_to() {
        let incoming = Incoming::new();
        let listen = |text| incoming.bind(address(text)).expect("a port").listen();
        let (for_all, private) = (listen("0.0.0.0:80"), listen("127.0.0.1:0"));
        let own = || OwnConnection {
            endpoint: connection(),
            addresses: OwnAddresses {
                local: private.address(),
                remote: address("127.0.0.1:50000"),
                _port: None,
            },
        };
        incoming.push(connection());
        assert!(incoming.listens_at(address("127.0.0.1:80")));
        assert!(!incoming.listens_at(address("192.0.2.1:80")));
        assert!(!incoming.listens_at(address("[::1]:80")));
        incoming
            .connect(private.address(), own())
            .expect("it listens");
        let (_, told) = private.accept().expect("its own");
        assert!(told.is_own() && private.accept().is_none());
        incoming
            .connect(address("127.0.0.1:80"), own())
            .expect("it listens");
        let (_, told) = for_all.accept().expect("its own");
        assert!(told.is_own());
        let (_, told) = for_all.accept().expect("the host's");
        assert!(!told.is_own());
        for _ in 0..MOST_OWN {
            incoming
                .connect(private.address(), own())
                .expect("it is queued");
        }
        let refused = incoming.connect(private.address(), own());
        assert_eq!(refused, Err(ErrorCode::ConnectionRefused));
        let nobody = address("127.0.0.1:81");
        assert_eq!(
            incoming.connect(nobody, own()),
            Err(ErrorCode::ConnectionRefused)
        );
    }
}
