//! This side of a connection: what its socket, its two streams and the host have in common.

use crate::PeerCredentials;
use crate::connection::buffers::Received;
use crate::connection::closing::Closing;
use crate::connection::round;
use crate::connection::sending::{SendingGuard, SendingLock, rest_of};
use crate::connection::turn;
use crate::transport::Transport;
use crate::transport::plain::Plain;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use rustix::net::Shutdown;
use socket2::SockRef;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use wasmtime_wasi::p2::bindings::sockets::network::IpAddressFamily;

/// An open connection. How it ends is in [`closing`](crate::connection::closing).
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) transport: Transport,
    local_address: Option<SocketAddr>,
    peer_address: SocketAddr,
    /// Who a proxy says that the peer is.
    announced_peer: OnceLock<SocketAddr>,
    /// The socket's, whoever the peer turns out to be.
    family: IpAddressFamily,
    sending: SendingLock,
    /// Woken when nothing is sent in the background any more: who waits to write.
    pub(crate) writer: AtomicWaker,
    /// Its input was ready once. From then on the kernel's word is reliable.
    was_ready: AtomicBool,
    /// What went wrong while nobody read: the next read says so.
    receive_failure: Mutex<Option<io::Error>>,
    has_failed: AtomicBool,
    /// The peer has ended its side, or nobody wants to hear more of it.
    pub(crate) received_all: AtomicBool,
    pub(crate) closing: Closing,
}

impl Endpoint {
    pub fn new(plain: Plain, peer_address: SocketAddr) -> Self {
        Self {
            transport: Transport::new(plain),
            local_address: None,
            peer_address,
            announced_peer: OnceLock::new(),
            family: crate::policy::address::family_of(peer_address),
            sending: SendingLock::default(),
            writer: AtomicWaker::new(),
            was_ready: AtomicBool::new(false),
            receive_failure: Mutex::default(),
            has_failed: AtomicBool::new(false),
            received_all: AtomicBool::new(false),
            closing: Closing::default(),
        }
    }

    /// Have the event loop of the current runtime say when it is ready. Otherwise that of its first use
    /// does.
    pub fn register(&self) -> io::Result<()> {
        self.plain().register()
    }

    /// The peer's address, as it was when the connection was made, or as its proxy has said.
    pub fn peer_address(&self) -> SocketAddr {
        *self.announced_peer.get().unwrap_or(&self.peer_address)
    }

    /// Whether that address says who the peer is: that of a Unix socket does not, unless its proxy has
    /// said it.
    pub fn has_peer_address(&self) -> bool {
        self.announced_peer.get().is_some() || !self.plain().is_unix()
    }

    /// The socket's family. A Unix socket passes for one of IPv4.
    pub fn family(&self) -> IpAddressFamily {
        self.family
    }

    /// The address on this side.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self.local_address {
            Some(address) => Ok(address),
            None => crate::socket::option::local_address(&self.options()),
        }
    }

    /// Who the peer is, if it came by a Unix socket.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        self.transport.peer_credentials()
    }

    /// What to say instead of the socket's own addresses: for one that has none that a guest could be
    /// told.
    #[cfg(unix)]
    pub fn set_addresses(&mut self, local: Option<SocketAddr>, peer: SocketAddr) {
        self.local_address = local;
        self.peer_address = peer;
    }

    /// The peer is somebody else than who connected. To be called once.
    pub fn announce_peer(&self, peer: SocketAddr) {
        self.announced_peer.get_or_init(|| peer);
    }

    /// The socket, for what comes before the bytes that are the connection's.
    pub fn plain(&self) -> &Plain {
        self.transport.plain()
    }

    /// From here on, the bytes travel through this session. To be called once.
    #[cfg(feature = "tls")]
    pub fn encrypt(&self, session: rustls::ServerConnection) {
        self.transport.encrypt(session);
    }

    /// For socket options.
    pub fn options(&self) -> SockRef<'_> {
        self.transport.options()
    }

    /// Whether the peer has ended its side of a session without saying so.
    pub fn was_cut(&self) -> bool {
        self.transport.was_cut()
    }

    /// Receive what is there. 0: the peer has ended its side, or it was agreed to hear no more.
    pub fn try_recv(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        if self.received_all.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let result = self.transport.try_recv(buffer);
        match &result {
            Ok(0) if !buffer.is_empty() => self.received_all.store(true, Ordering::Relaxed),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.received_all.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        result
    }

    /// How many bytes the kernel has, up to `most`. Who is told of some has to
    /// [`receive_at_hand`](Self::receive_at_hand) them, all of them.
    pub fn at_hand(&self, most: usize) -> usize {
        match self.received_all.load(Ordering::Relaxed) || self.has_failed.load(Ordering::Acquire) {
            true => 0,
            false => self.transport.at_hand(most),
        }
    }

    /// Receive what is at hand, to all of the buffer: so many bytes. If they are fewer, something has
    /// happened to the connection, and the next receive says so.
    pub fn receive_at_hand(&self, buffer: &mut [u8]) -> usize {
        let mut received = 0;
        while received < buffer.len() {
            match self.transport.recv_at_hand(&mut buffer[received..]) {
                Ok(0) => {
                    self.received_all.store(true, Ordering::Relaxed);
                    break;
                }
                Ok(count) => received += count,
                // There are fewer than the kernel has said: no failure.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.fail_to_receive(error);
                    break;
                }
            }
        }
        received
    }

    /// A number that changes with each byte that is sent or received.
    pub fn activity(&self) -> u64 {
        self.transport.activity()
    }

    /// Whether a receive would find bytes or an end. Whoever gets an error here has to keep it: a
    /// receive may not find it any more.
    pub fn has_input(&self) -> io::Result<bool> {
        if self.received_all.load(Ordering::Relaxed) {
            return Ok(true);
        }
        self.transport.has_input()
    }

    /// Whether to wait is as good as to try: what waits is woken for all that a receive could say.
    pub fn is_told_of_input(&self) -> bool {
        !self.has_failed.load(Ordering::Acquire) && self.transport.is_told_of_input()
    }

    /// Whether something was received that nobody has read.
    pub fn has_unread(&self) -> bool {
        !self.received_all.load(Ordering::Relaxed) && self.transport.has_unread()
    }

    /// Wait until a receive may find something.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.received_all.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.transport.poll_readable(cx)
    }

    /// Wait until a read has something to say: bytes, an end, or an error.
    pub fn poll_input_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.has_failed.load(Ordering::Acquire) {
            // An error of the socket is what the next read says.
            let _ = std::task::ready!(self.poll_readable(cx));
            if self.was_ready.load(Ordering::Relaxed) && !self.plain().has_urgent() {
                break;
            }
            // A socket may count as readable until a first attempt has failed (tokio from 1.54 on), and
            // for urgent data, which is not received.
            match self.has_input() {
                Ok(true) => {
                    self.set_was_ready();
                    break;
                }
                Ok(false) => {}
                Err(error) => self.fail_to_receive(error),
            }
        }
        Poll::Ready(())
    }

    /// The next read is to say so.
    fn fail_to_receive(&self, error: io::Error) {
        *self.receive_failure() = Some(error);
        self.has_failed.store(true, Ordering::Release);
    }

    /// A read has found something.
    pub fn set_was_ready(&self) {
        self.was_ready.store(true, Ordering::Relaxed);
    }

    /// What went wrong while nobody read. It is said once.
    pub fn take_receive_failure(&self) -> Option<io::Error> {
        match self.has_failed.load(Ordering::Acquire) {
            true => self.receive_failure().take(),
            false => None,
        }
    }

    fn receive_failure(&self) -> MutexGuard<'_, Option<io::Error>> {
        let failure = self.receive_failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until a write has something to say: that more may be written, or an error.
    pub fn poll_output_ready(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut sending = self.sending();
        if sending.is_kept() {
            drop(sending);
            self.send_kept();
            sending = self.sending();
        }
        // One that takes no more says so at once. What is left of it is sent in the background, and
        // only one task can wait for that.
        if !sending.is_open() {
            return Poll::Ready(());
        }
        if sending.is_in_background() {
            // Under the lock: the task that sends ends under it, too.
            self.writer.register(cx.waker());
            return Poll::Pending;
        }
        if let Err(error) = std::task::ready!(sending.poll_push(&self.transport, cx)) {
            sending.end_background(Err(error));
        }
        Poll::Ready(())
    }

    /// Whether more may be written, now or later. What has failed while nobody was looking is said once.
    pub fn check_open(&self) -> io::Result<()> {
        match self.sending.is_clear() {
            true => Ok(()),
            false => self.sending().check_open(),
        }
    }

    /// Wait until a write may be made.
    pub fn poll_permitted(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.is_clear() {
                return Poll::Ready(Ok(()));
            }
            let mut sending = self.sending();
            sending.check_open()?;
            if sending.is_idle() {
                return Poll::Ready(Ok(()));
            }
            drop(sending);
            std::task::ready!(self.poll_output_ready(cx));
        }
    }

    /// Receive no more. What is there is discarded.
    pub fn end_receiving(&self) {
        self.received_all.store(true, Ordering::Relaxed);
        self.transport.shutdown(Shutdown::Read);
    }

    /// How the sending direction is doing.
    pub(crate) fn sending(&self) -> SendingGuard<'_> {
        self.sending.lock()
    }

    /// Send as much of the last write as the kernel takes. `WouldBlock`: not all of it.
    pub fn push(&self) -> io::Result<()> {
        self.sending().push(&self.transport)
    }

    /// Send what the kernel takes, and keep a copy of the rest, which the caller has to see to. Whether
    /// there is none.
    pub fn send(&self, bytes: &[u8]) -> io::Result<bool> {
        self.send_or_keep(bytes, |sent| Bytes::copy_from_slice(&bytes[sent..]))
    }

    /// The same for what was received elsewhere.
    pub fn send_received(&self, bytes: &Received) -> io::Result<bool> {
        self.send_or_keep(bytes, |sent| rest_of(bytes, sent))
    }

    /// Have it sent: at the end of the [round], if it is little; otherwise now, as much as the kernel
    /// takes, and the rest in the background.
    pub fn send_soon(self: &Arc<Self>, bytes: &[u8]) -> io::Result<()> {
        if !self.put_off(bytes)? && !self.send(bytes)? {
            // The guest may go on to wait for something else, such as the peer's answer to all of it.
            self.send_in_background();
        }
        Ok(())
    }

    /// Keep it until the end of the [round]. False: it is to be sent now.
    pub fn put_off(self: &Arc<Self>, bytes: &[u8]) -> io::Result<bool> {
        let is_small = !bytes.is_empty() && bytes.len() <= round::SMALL;
        if !is_small || self.transport.is_encrypted() || !round::takes_one() {
            return Ok(false);
        }
        self.sending().keep(bytes)?;
        round::put_off(self);
        Ok(true)
    }

    /// The round is over.
    pub fn send_kept(self: &Arc<Self>) {
        let mut sending = self.sending();
        if sending.is_kept() && !sending.push_unseen(&self.transport) {
            drop(sending);
            self.send_in_background();
        }
    }

    fn send_or_keep(&self, bytes: &[u8], rest: impl FnOnce(usize) -> Bytes) -> io::Result<bool> {
        turn::charge(bytes.len());
        let mut sending = self.sending();
        sending.send(&self.transport, bytes, rest)?;
        Ok(sending.is_idle() && !self.transport.is_encrypted())
    }

    /// Wait until all that was written is with the kernel, whoever sends it.
    pub async fn flushed(self: &Arc<Self>) -> io::Result<()> {
        // Otherwise the end of the round would take it away from who waits here.
        self.send_kept();
        self.until(|| !self.sending().is_in_background()).await;
        poll_fn(|cx| self.poll_push(cx)).await
    }

    /// Wait until all that was written is with the kernel.
    pub fn poll_push(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sending().poll_push(&self.transport, cx)
    }

    /// Send what the kernel takes, without keeping a rest.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.transport.try_send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(self.transport.poll_writable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}
