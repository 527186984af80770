//! A connection, as those who have it see it.

use super::decision::Decision;
use super::link::Link;
use crate::pace::{Direction, Pace, Rate, SharedRate};
use crate::policy::{Account, Charge, IpAddressFamily};
use crate::sys::{self, PeerCredentials};
#[cfg(feature = "tls")]
use crate::transport::TlsInfo;
use crate::transport::{Plain, Transport};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What a guest is told of either side of a Unix socket: it knows of no other addresses.
pub const UNIX_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An open connection: its socket, what it has received, and what is still to be sent.
///
/// It ends when the last of those who share it has dropped it. What was written is sent then, in the
/// background if need be, for up to 10 seconds; the peer reads it and then the end. Where the end is
/// [held](Self::hold_end), dropping it is a reset.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) link: Arc<Link>,
    peer_address: SocketAddr,
    /// The peer's address as a proxy has announced it.
    announced_peer: OnceLock<SocketAddr>,
    /// Both of its sides are the same guest's.
    is_own: bool,
    /// Who decides how it ends.
    pub(super) decision: Decision,
    /// Its input was ready once. From then on the event loop is reliable.
    pub(super) was_ready: AtomicBool,
    /// What went wrong while nobody read: the next read reports it.
    pub(super) receive_failure: Mutex<Option<io::Error>>,
    pub(super) has_failed: AtomicBool,
}

impl Endpoint {
    /// A connection to this peer. That of a Unix socket passes for port 0 of 127.0.0.1.
    pub fn new(plain: Plain, peer_address: SocketAddr) -> Self {
        let peer_address = match plain.is_unix() {
            true => UNIX_ADDRESS,
            false => peer_address,
        };
        Self {
            link: Arc::new(Link::new(Transport::new(plain))),
            peer_address,
            announced_peer: OnceLock::new(),
            is_own: false,
            decision: Decision::default(),
            was_ready: AtomicBool::new(false),
            receive_failure: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// A connection of which a guest has both sides.
    pub(crate) fn own(plain: Plain, peer_address: SocketAddr) -> Self {
        let mut endpoint = Self::new(plain, peer_address);
        endpoint.is_own = true;
        endpoint
    }

    /// Whether a guest has both of its sides.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Charges the connection to this account, rather than to another one, until its socket is closed: its
    /// descriptor, even beyond the limit, and what is not sent.
    pub fn charge_to(&self, account: &Account) {
        self.link.charge_to(account, None);
    }

    /// Does the same with a descriptor that is charged already.
    pub(crate) fn charged(self, account: Option<&Account>, descriptor: Option<Charge>) -> Self {
        if let Some(account) = account {
            self.link.charge_to(account, descriptor);
        }
        self
    }

    /// Registers the socket with the event loop of the current runtime. Otherwise its first use does.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn register(&self) -> io::Result<()> {
        self.plain().register()
    }

    /// The peer's address, as it was when the connection was made, or as its proxy has announced it.
    pub fn peer_address(&self) -> SocketAddr {
        *self.announced_peer.get().unwrap_or(&self.peer_address)
    }

    /// Whether that address says who the peer is. That of a Unix socket does not, unless a proxy has
    /// announced it.
    pub fn has_peer_address(&self) -> bool {
        self.announced_peer.get().is_some() || !self.plain().is_unix()
    }

    /// The socket's family, whoever the peer turns out to be. A Unix socket passes for one of IPv4.
    pub(crate) fn family(&self) -> IpAddressFamily {
        IpAddressFamily::of(self.peer_address)
    }

    /// The address on this side.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self.plain().is_unix() {
            true => Ok(UNIX_ADDRESS),
            false => sys::local_address(&self.options()),
        }
    }

    /// The peer's credentials, if it is that of a Unix socket.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        self.plain().peer_credentials()
    }

    /// Takes the address that a proxy has announced for the peer's. The first call counts.
    pub fn announce_peer(&self, peer: SocketAddr) {
        self.announced_peer.get_or_init(|| peer);
    }

    /// The socket, for what comes before the bytes that are the connection's.
    pub fn plain(&self) -> &Plain {
        self.link.transport.plain()
    }

    /// Has the bytes travel through this TLS session from now on. The first call counts.
    #[cfg(feature = "tls")]
    pub fn encrypt(&self, session: rustls::ServerConnection) {
        self.link.transport.encrypt(session);
    }

    /// Returns what was negotiated for the TLS session, if the bytes travel through one.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<TlsInfo> {
        self.link.transport.tls()
    }

    /// For socket options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        self.plain().options()
    }

    /// Whether the peer has ended its side of a TLS session without `close_notify`: the last bytes may be
    /// missing.
    pub fn was_cut(&self) -> bool {
        self.link.transport.was_cut()
    }

    /// A number that changes with each byte that is sent or received.
    pub fn activity(&self) -> u64 {
        self.received().wrapping_add(self.sent())
    }

    /// How many bytes its owners have received. Those of a TLS session count, not what they are sent as.
    pub fn received(&self) -> u64 {
        self.link.transport.received()
    }

    /// How many bytes of its owners the kernel has taken, or the TLS session.
    pub fn sent(&self) -> u64 {
        self.link.transport.sent()
    }

    /// When the first byte of its owners was sent, as [`sent`](Self::sent) counts them.
    pub fn first_sent(&self) -> Option<Instant> {
        self.link.transport.first_sent()
    }

    /// Limits how fast bytes of its owners are received and sent from here on, in each direction for itself: to a rate
    /// of its own, to one that it shares with others, or both. Bytes that are ahead of it wait; none are lost. Those of
    /// a TLS session count, not what they are sent as. The first call counts.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    pub fn limit_rate(&self, own: Option<Rate>, shared: Option<&Arc<dyn SharedRate>>) {
        if let Some(pace) = Pace::new(own, shared) {
            self.link.transport.limit_rate(pace);
        }
    }

    /// Whether it waits for a [rate](Self::limit_rate) now.
    pub fn is_throttled(&self) -> bool {
        self.link.transport.pace().is_some_and(Pace::is_waiting)
    }

    /// How long it has waited for a [rate](Self::limit_rate) in this direction.
    pub fn throttled(&self, direction: Direction) -> Duration {
        let pace = self.link.transport.pace();
        pace.map_or(Duration::ZERO, |pace| pace.waited(direction))
    }

    /// Whether something was received that nobody has read.
    pub fn has_unread(&self) -> bool {
        !self.link.received_all.load(Ordering::Relaxed) && self.link.transport.has_unread()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        match self.decision.is_left_open() {
            // Whoever was to decide how it ends is gone.
            true => self.link.reset(),
            false => self.link.finish(),
        }
    }
}
