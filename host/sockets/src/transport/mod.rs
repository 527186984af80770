//! What a connection's bytes travel through: its socket, or a TLS session on top of it.

mod plain;
mod reported;
#[cfg(feature = "tls")]
mod tls;

pub use plain::Plain;
#[cfg(feature = "tls")]
pub use tls::{TlsInfo, TlsSession, Wire};

use crate::pace::Pace;
use rustix::net::Shutdown;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Transport {
    /// Goes first: its end is sent through the socket.
    #[cfg(feature = "tls")]
    tls: OnceLock<TlsSession>,
    /// Shared with the task that sends what a session has taken.
    plain: Arc<Plain>,
    /// The bytes that were received, and those that were sent.
    received: AtomicU64,
    sent: AtomicU64,
    /// When the first byte was sent.
    first_sent: OnceLock<Instant>,
    /// How fast its bytes may go, if that is limited. Boxed, so that a connection without it is no larger.
    pace: OnceLock<Box<Pace>>,
}

/// Does the same with the session, if there is one, or else with the socket.
macro_rules! on {
    ($transport:expr, $top:ident => $action:expr) => {
        match $transport.session() {
            #[cfg(feature = "tls")]
            Some($top) => $action,
            #[cfg(not(feature = "tls"))]
            Some(never) => match never {},
            None => {
                let $top = &*$transport.plain;
                $action
            }
        }
    };
}

impl Transport {
    pub fn new(plain: Plain) -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: OnceLock::new(),
            plain: Arc::new(plain),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            first_sent: OnceLock::new(),
            pace: OnceLock::new(),
        }
    }

    /// Limits how fast bytes go from here on. To be called once.
    pub fn limit_rate(&self, pace: Pace) {
        self.pace.get_or_init(|| Box::new(pace));
    }

    /// How fast its bytes may go, if that is limited.
    pub fn pace(&self) -> Option<&Pace> {
        self.pace.get().map(|pace| &**pace)
    }

    #[cfg(feature = "tls")]
    fn session(&self) -> Option<&TlsSession> {
        self.tls.get()
    }

    #[cfg(not(feature = "tls"))]
    fn session(&self) -> Option<std::convert::Infallible> {
        None
    }

    /// From here on, the bytes travel through this session, for which the socket was used so far. To
    /// be called once.
    #[cfg(feature = "tls")]
    pub fn encrypt(&self, session: rustls::ServerConnection) {
        self.tls
            .get_or_init(|| TlsSession::new(Arc::clone(&self.plain), session));
    }

    /// Whether a session is between the connection and its socket.
    pub fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.get().is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// What was negotiated for the session, if there is one.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<TlsInfo> {
        self.tls.get().map(TlsSession::info)
    }

    /// How much a session may hold that is not sent.
    pub fn session_buffer(&self) -> usize {
        #[cfg(feature = "tls")]
        if self.is_encrypted() {
            return tls::SEND_BUFFER;
        }
        0
    }

    /// Whether the peer has ended its side without saying so, as it should at the end of a session: what came
    /// before may have been cut off.
    pub fn was_cut(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.get().is_some_and(TlsSession::was_cut);
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Receives what is there. 0: the peer has ended its side. `WouldBlock`: nothing is there, or nothing may be
    /// received now.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(pace) = self.pace() else {
            return self.recv(buffer);
        };
        // An error is found by the next attempt.
        let is_useful = || self.has_input().unwrap_or(true);
        pace.receiving.limit(buffer.len(), is_useful, |permitted| {
            self.recv(&mut buffer[..permitted])
        })
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = on!(self, top => top.try_recv(buffer))?;
        count(&self.received, received);
        Ok(received)
    }

    /// Whether a receive would find bytes or an end. Whoever gets an error here has to keep it.
    pub fn has_input(&self) -> io::Result<bool> {
        on!(self, top => top.has_input())
    }

    /// Whether the event loop knows when a receive finds something. A session may have something already.
    pub fn is_told_of_input(&self) -> bool {
        !self.is_encrypted() && self.plain.is_told_of_input()
    }

    /// Sends as much as is taken. `WouldBlock`: nothing is, or nothing may be sent now.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.pace() {
            None => self.send(bytes),
            Some(pace) => pace.sending.limit(
                bytes.len(),
                || true,
                |permitted| self.send(&bytes[..permitted]),
            ),
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let sent = on!(self, top => top.try_send(bytes))?;
        if count(&self.sent, sent) == 0 && sent > 0 {
            // It is set once.
            let _ = self.first_sent.set(Instant::now());
        }
        Ok(sent)
    }

    /// Returns how many bytes were received. With a session, they are the session's.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns how many bytes were sent: the kernel, or the session, has taken them.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns when the first byte was sent.
    pub fn first_sent(&self) -> Option<Instant> {
        self.first_sent.get().copied()
    }

    /// Waits until a receive may find something. One task can wait at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(on!(self, top => top.poll_readable(cx)))?;
        match self.pace() {
            None => Poll::Ready(Ok(())),
            Some(pace) => pace.receiving.poll_permitted(cx).map(Ok),
        }
    }

    /// Waits until a send may succeed. One task can wait at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(on!(self, top => top.poll_writable(cx)))?;
        match self.pace() {
            None => Poll::Ready(Ok(())),
            Some(pace) => pace.sending.poll_permitted(cx).map(Ok),
        }
    }

    /// Waits until the kernel has all that was sent.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.get() {
            return tls.poll_writable(cx);
        }
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Ends one or both directions.
    pub fn shutdown(&self, how: Shutdown) {
        on!(self, top => top.shutdown(how));
    }

    /// Makes closing it a reset.
    pub fn reset_on_close(&self) {
        self.plain.reset_on_close();
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.get() {
            tls.abort();
        }
    }

    /// Whether there is something to be received that nobody has read.
    pub fn has_unread(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.get().is_some_and(TlsSession::has_unread) {
            return true;
        }
        self.plain.has_unread()
    }

    /// The socket.
    pub fn plain(&self) -> &Plain {
        &self.plain
    }
}

/// Counts bytes. Returns how many there were before.
fn count(counter: &AtomicU64, bytes: usize) -> u64 {
    // Not in one step, which takes long: one thread at a time sends, and one receives.
    let count = counter.load(Ordering::Relaxed);
    counter.store(count.wrapping_add(bytes as u64), Ordering::Relaxed);
    count
}
