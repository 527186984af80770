//! A stream socket of the operating system, TCP or Unix, that never blocks.

use super::reported::Reported;
use crate::sys::{self, PeerCredentials, Readiness, SHORT_MEANS_DONE, TELLS_OF_URGENT};
use futures_util::FutureExt;
use rustix::net::Shutdown;
use socket2::{SockRef, Socket};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;

/// A socket and what its event loop knows of it.
#[derive(Debug)]
pub struct Plain {
    readiness: Readiness,
    /// The event loop is worth asking: it has said something, or an attempt has shown that the socket is
    /// not ready. Before that the socket itself is asked, which mostly has what is asked for.
    knows_input: AtomicBool,
    knows_output: AtomicBool,
    /// What calls have said of the connection, and the event loop may not know.
    reported: Reported,
    socket: Arc<Socket>,
    is_unix: bool,
    /// Who the peer of a Unix socket is, once somebody has asked.
    credentials: OnceLock<PeerCredentials>,
}

impl Plain {
    /// A TCP socket, connected or about to be, that never blocks.
    pub fn tcp(socket: impl Into<Socket>) -> Self {
        Self::new(socket.into(), false)
    }

    /// A connected Unix socket that never blocks.
    pub fn unix(socket: impl Into<Socket>) -> Self {
        Self::new(socket.into(), true)
    }

    fn new(socket: Socket, is_unix: bool) -> Self {
        sys::never_signal(&socket);
        let reported = Reported::default();
        if is_unix {
            // Its peer may end its receiving direction alone.
            reported.sending_may_end();
        }
        Self {
            readiness: Readiness::default(),
            knows_input: AtomicBool::new(false),
            knows_output: AtomicBool::new(false),
            reported,
            socket: Arc::new(socket),
            is_unix,
            credentials: OnceLock::new(),
        }
    }

    /// Has the event loop of the current runtime say when it is ready. Otherwise that of its first use
    /// does.
    pub fn register(&self) -> io::Result<()> {
        self.readiness.register(&self.socket)
    }

    /// Receives what is there, up to the size of the buffer: at the start of which it then is. 0: the
    /// peer has ended its side. `WouldBlock`: nothing is there.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let capacity = buffer.len();
        let io = || sys::recv(&self.socket, buffer);
        self.try_io(Interest::READABLE, capacity, io, Self::is_drained)
    }

    /// The same, whatever the event loop knows.
    pub fn recv_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::recv(&self.socket, buffer).inspect_err(|error| self.reported.note(error))
    }

    /// Whether the event loop knows when a receive finds something.
    pub fn is_told_of_input(&self) -> bool {
        self.knows_input.load(Ordering::Relaxed)
    }

    /// Whether a receive would find bytes or an end. An error is said here or there, not twice: the
    /// kernel forgets it.
    pub fn has_input(&self) -> io::Result<bool> {
        let io = || sys::peek(&self.socket, &mut [0]).map(|_| 0);
        match self.try_io(Interest::READABLE, 0, io, |_| false) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a receive would find nothing by now, whatever the event loop knows: neither bytes, nor an end.
    pub fn has_no_input(&self) -> bool {
        let found = sys::peek(&self.socket, &mut [0]);
        found.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the peer has sent urgent data, or may have: the event loop says so before it is
    /// received. It is left out of what is received, and each receive ends where it was, although more
    /// is there (tcp(7)). Where the event loop counts the socket as readable, there may be nothing else.
    pub fn has_urgent(&self) -> bool {
        self.readiness.has_urgent()
    }

    /// Whether a receive that was short has left nothing, rather than ended early. Of Unix sockets, it
    /// does so behind descriptors that were passed, and where another process has sent what follows
    /// (unix(7)). There, and where urgent data is not told of, the kernel is asked.
    fn is_drained(&self) -> bool {
        match TELLS_OF_URGENT && !self.is_unix {
            true => !self.has_urgent(),
            false => matches!(sys::bytes_to_read(&self.socket), Ok(0)),
        }
    }

    /// Sends as much as the kernel takes. `WouldBlock`: it takes nothing.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let io = || sys::send(&self.socket, bytes);
        self.try_io(Interest::WRITABLE, bytes.len(), io, |_| true)
    }

    /// The same for several pieces.
    #[cfg(feature = "tls")]
    pub(crate) fn try_send_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let possible = pieces.iter().map(|piece| piece.len()).sum();
        let io = || sys::send_vectored(&self.socket, pieces);
        self.try_io(Interest::WRITABLE, possible, io, |_| true)
    }

    /// Waits until a receive may find something. One task can wait at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.readiness.poll_readable(&self.socket, cx))?;
        self.knows_input.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    /// Waits until a send may succeed, or connecting has come to an end. One task can wait at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.readiness.poll_writable(&self.socket, cx))?;
        self.knows_output.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    /// Waits until a send may succeed, also while other tasks do.
    #[cfg(feature = "tls")]
    pub async fn writable(&self) -> io::Result<()> {
        self.readiness.writable(&self.socket).await
    }

    /// Whether it is a Unix socket, whose peer has no address that says who it is.
    pub fn is_unix(&self) -> bool {
        self.is_unix
    }

    /// Ends one or both directions. The peer of one that has ended already is gone, which is no error.
    pub fn shutdown(&self, how: Shutdown) {
        if !matches!(how, Shutdown::Read) {
            self.reported.sending_may_end();
        }
        if let Err(error) = rustix::net::shutdown(&self.socket, how) {
            tracing::trace!("shutdown: {error}");
        }
    }

    /// Makes closing it a reset: what is unsent is dropped, and the peer sees an error, not an end. A
    /// Unix socket has no such thing: it just closes.
    pub fn reset_on_close(&self) {
        self.set_linger(Some(Duration::ZERO));
    }

    /// Ends it, whoever still has it: its peer sees a reset, where the system can do that, and those who have it find
    /// it closed.
    pub fn disconnect(&self) {
        self.reset_on_close();
        if self.is_unix || sys::disconnect(&self.socket).is_err() {
            self.shutdown(Shutdown::Both);
        }
    }

    /// Makes closing it a regular end again.
    pub fn end_on_close(&self) {
        self.set_linger(None);
    }

    fn set_linger(&self, time: Option<Duration>) {
        if !self.is_unix
            && let Err(error) = self.options().set_linger(time)
        {
            tracing::debug!("how a connection ends cannot be set: {error}");
        }
    }

    /// Whether something was sent that the peer has yet to acknowledge. Where nobody can tell, nothing is;
    /// nor is it of a Unix socket, whose peer has it at once.
    pub fn has_unacknowledged(&self) -> bool {
        !self.is_unix && sys::has_unacknowledged(&self.socket)
    }

    /// Whether something was received that nobody has read.
    pub fn has_unread(&self) -> bool {
        sys::bytes_to_read(&self.socket).is_ok_and(|count| count > 0)
    }

    /// Waits until the connection has failed: its peer has reset it, say, or is out of reach.
    pub async fn failed(&self) {
        tokio::select! {
            () = self.readiness.failed(&self.socket) => {}
            // The kernel reports an error once, and whoever received or sent may have been first.
            () = self.reported.failure() => {}
        }
    }

    /// Whether it has failed by now, as far as the event loop knows.
    pub fn has_failed(&self) -> bool {
        self.failed().now_or_never().is_some()
    }

    /// Whether both sides have ended it, or it has failed, as far as the event loop knows.
    pub fn has_hung_up(&self) -> bool {
        self.readiness.has_hung_up(&self.socket)
    }

    /// Who the peer of a Unix socket is. Of TCP nothing more is known than the address.
    pub fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        if !self.is_unix {
            return Ok(None);
        }
        if let Some(credentials) = self.credentials.get() {
            return Ok(Some(*credentials));
        }
        let credentials = PeerCredentials::of_socket(&self.socket)?;
        Ok(Some(*self.credentials.get_or_init(|| credentials)))
    }

    /// For socket options.
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&*self.socket)
    }

    /// Does something if the socket may be ready for it. If it would block, or comes to less than
    /// `possible` and this `is_done`, the socket counts as ready no more until the kernel says so.
    fn try_io(
        &self,
        interest: Interest,
        possible: usize,
        io: impl FnMut() -> io::Result<usize>,
        is_done: impl Fn(&Self) -> bool,
    ) -> io::Result<usize> {
        let result = self.try_io_unnoted(interest, possible, io, is_done);
        result.inspect_err(|error| self.reported.note(error))
    }

    fn try_io_unnoted(
        &self,
        interest: Interest,
        possible: usize,
        mut io: impl FnMut() -> io::Result<usize>,
        is_done: impl Fn(&Self) -> bool,
    ) -> io::Result<usize> {
        let is_short = |count| SHORT_MEANS_DONE && 0 < count && count < possible && is_done(self);
        let knows = match interest.is_readable() {
            true => &self.knows_input,
            false => &self.knows_output,
        };
        if !knows.load(Ordering::Relaxed) {
            let result = io();
            let is_unready = match &result {
                Ok(count) => is_short(*count),
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
            knows.store(is_unready, Ordering::Relaxed);
            return result;
        }
        let mut short = None;
        let attempt = || {
            let count = io()?;
            if is_short(count) {
                short = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        };
        let result = self.readiness.try_io(&self.socket, interest, attempt);
        short.map_or(result, Ok)
    }
}

#[cfg(all(test, unix))]
mod tests;
