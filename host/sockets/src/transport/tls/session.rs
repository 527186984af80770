//! A session: what goes through a connection once its handshake is done.
//!
//! It offers what the socket below it does: to receive and to send without waiting, and to wait for
//! either. Bytes that it has taken but the kernel has not are sent by a task of their own, so that
//! they get there whatever the owner does next.

use super::info::TlsInfo;
use super::wire::Wire;
use crate::transport::plain::Plain;
use rustix::net::Shutdown;
use rustls::ServerConnection;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The most bytes that are taken from the sender and not yet by the kernel.
pub const SEND_BUFFER: usize = 64 << 10;

/// How often the socket is read in one go.
const READS: usize = 16;

/// How many such goes there are in one turn of who waits for something to receive.
const LOOKS: usize = 4;

/// How long a dropped session goes on sending what it has taken.
const LINGER: Duration = Duration::from_secs(10);

/// The server's side of a TLS connection. Dropping it ends it properly, in the background if need
/// be, for up to 10 seconds; [`abort`](Self::abort) does not.
pub struct TlsSession {
    shared: Arc<Shared>,
}

impl TlsSession {
    /// Goes on with a socket through which a handshake was done.
    pub fn new(plain: Arc<Plain>, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(SEND_BUFFER));
        Self {
            shared: Arc::new(Shared {
                plain,
                runtime: Handle::current(),
                aborted: CancellationToken::new(),
                state: Mutex::new(Session {
                    tls,
                    failed: None,
                    sending: Outbound::Open,
                    pushing: false,
                }),
            }),
        }
    }

    /// Returns what was negotiated for it.
    pub fn info(&self) -> TlsInfo {
        TlsInfo::of(&self.shared.lock().tls)
    }

    /// Receives what is there, up to the size of the buffer: at the start of which it then is.
    /// `WouldBlock`: nothing is there. 0: the peer has said that it ends. `UnexpectedEof`: it ended
    /// without saying so, and what came before may have been cut off.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.shared
            .with_state(|state, plain| match state.receive_input(plain)? {
                true => state.take_input(buffer),
                false => Err(ErrorKind::WouldBlock.into()),
            })
    }

    /// Whether a receive would find bytes or an end. An error is kept for it.
    pub fn has_input(&self) -> io::Result<bool> {
        self.shared
            .with_state(|state, plain| state.receive_input(plain))
    }

    /// Whether it holds bytes that nobody has taken.
    pub fn has_unread(&self) -> bool {
        let mut state = self.shared.lock();
        let mut reader = state.tls.reader();
        reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// Whether the peer has ended its side without saying so.
    pub fn was_cut(&self) -> bool {
        let mut state = self.shared.lock();
        let found = state.tls.reader().fill_buf().map(<[u8]>::len);
        matches!(found, Err(error) if error.kind() == ErrorKind::UnexpectedEof)
    }

    /// Takes bytes to be sent: no more than there is room for. `WouldBlock` while the kernel has not
    /// taken what was given before.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.with_state(|state, plain| {
            if !matches!(state.sending, Outbound::Open) {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if !state.push(plain)? {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = state.tls.writer().write(bytes)?;
            state.push(plain)?;
            Ok(count)
        })
    }

    /// Waits until a receive finds something. One task can wait at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..LOOKS {
            // An error is what the next receive says.
            if self.has_input().unwrap_or(true) {
                return Poll::Ready(Ok(()));
            }
            ready!(self.shared.plain.poll_readable(cx))?;
        }
        // However much comes that holds nothing, other tasks get their time slice.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until there is room to send, which is when the kernel has taken all. One task can wait
    /// at a time.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.shared.with_state(Session::push)? {
            ready!(self.shared.plain.poll_writable(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends one or both directions. The sending one ends once the rest is sent, with a `close_notify`
    /// and then the connection's own end.
    pub fn shutdown(&self, how: Shutdown) {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.shared.plain.shutdown(Shutdown::Read);
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            // An error is what the next attempt to receive will say.
            let _ = self.shared.with_state(|state, plain| {
                if matches!(state.sending, Outbound::Open) {
                    state.tls.send_close_notify();
                    state.sending = Outbound::Ending;
                }
                state.push(plain)
            });
        }
    }

    /// Ends it now: what was not sent is not, and the peer can tell, since nothing says that this is
    /// the end.
    pub fn abort(&self) {
        self.shared.abort();
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("plain", &self.shared.plain)
            .finish_non_exhaustive()
    }
}

impl Drop for TlsSession {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Write);
        if self.shared.is_done() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(async move {
            if tokio::time::timeout(LINGER, shared.flush()).await.is_err() {
                shared.abort();
            }
        });
    }
}

/// What a session and the task that sends for it have in common.
struct Shared {
    plain: Arc<Plain>,
    runtime: Handle,
    aborted: CancellationToken,
    state: Mutex<Session>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the session. What it leaves to be sent, a task will send.
    fn with_state<T>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut Session, &Plain) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        let result = action(&mut state, &self.plain);
        if !state.pushing && !state.is_done() {
            state.pushing = true;
            self.runtime.spawn(Arc::clone(self).push());
        }
        result
    }

    /// Sends until there is nothing left to be sent.
    async fn push(self: Arc<Self>) {
        loop {
            self.writable().await;
            let mut state = self.lock();
            // An error is kept, for the owner.
            let _ = state.push(&self.plain);
            if state.is_done() {
                state.pushing = false;
                return;
            }
        }
    }

    async fn flush(&self) -> io::Result<()> {
        loop {
            if self.lock().push(&self.plain)? {
                return Ok(());
            }
            self.writable().await;
        }
    }

    /// Waits until the kernel takes something, or the session is aborted.
    async fn writable(&self) {
        tokio::select! {
            // An error is what the next attempt will say.
            _ = self.plain.writable() => {}
            () = self.aborted.cancelled() => {}
        }
    }

    fn is_done(&self) -> bool {
        self.lock().is_done()
    }

    fn abort(&self) {
        self.lock()
            .fail(&io::Error::from(ErrorKind::ConnectionAborted));
        self.aborted.cancel();
    }
}

struct Session {
    tls: ServerConnection,
    /// What ended the session before its time. Errors cannot be cloned: this is what they consist of.
    failed: Option<(ErrorKind, String)>,
    sending: Outbound,
    /// Whether there is a task that sends.
    pushing: bool,
}

/// How far this side's end is.
enum Outbound {
    Open,
    /// The `close_notify` waits to be sent.
    Ending,
    Ended,
}

impl Session {
    /// Whether there is nothing to be sent, or no way to.
    fn is_done(&self) -> bool {
        self.failed.is_some()
            || (!self.tls.wants_write() && !matches!(self.sending, Outbound::Ending))
    }

    fn fail(&mut self, error: &io::Error) {
        self.failed
            .get_or_insert_with(|| (error.kind(), error.to_string()));
    }

    fn check(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
        }
    }

    /// Passes an error on, and keeps it if the session cannot go on after it.
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != ErrorKind::WouldBlock {
                self.fail(error);
            }
        })
    }

    /// Sends what the kernel takes. Returns whether that was all.
    fn push(&mut self, plain: &Plain) -> io::Result<bool> {
        self.check()?;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Wire(plain)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.note(result)?;
                }
            }
        }
        if matches!(self.sending, Outbound::Ending) {
            self.sending = Outbound::Ended;
            plain.shutdown(Shutdown::Write);
        }
        Ok(true)
    }

    /// Reads the socket once, and answers what is to be answered. An error is kept: what came before it
    /// is received first.
    fn receive(&mut self, plain: &Plain) -> io::Result<()> {
        self.check()?;
        match self.tls.read_tls(&mut Wire(plain)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => self.note(result)?,
        };
        let processed = self.tls.process_new_packets();
        // Whether it can be sent is not the receiver's concern.
        let _ = self.push(plain);
        if let Err(error) = processed {
            self.fail(&io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    /// Reads the socket until there is something to be received: whether there is. A peer may send
    /// records that hold nothing, so this gives up after a while, before the socket is empty.
    fn receive_input(&mut self, plain: &Plain) -> io::Result<bool> {
        for _ in 0..READS {
            if self.has_input()? {
                return Ok(true);
            }
            match self.receive(plain) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                result => result?,
            }
        }
        self.has_input()
    }

    /// Whether there are bytes or an end to be received. An error comes after them.
    fn has_input(&mut self) -> io::Result<bool> {
        match self.tls.reader().fill_buf() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.check().map(|()| false),
            Err(error) => Err(in_short(error)),
        }
    }

    /// Takes what is there.
    fn take_input(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reader = self.tls.reader();
        let mut count = 0;
        while count < buffer.len() {
            let piece = match reader.fill_buf() {
                Ok([]) => break,
                Ok(piece) => piece,
                // What is there has been taken: what comes after it is for the next time.
                Err(_) if count > 0 => break,
                Err(error) => return Err(in_short(error)),
            };
            let room = &mut buffer[count..];
            let size = piece.len().min(room.len());
            room[..size].copy_from_slice(&piece[..size]);
            reader.consume(size);
            count += size;
        }
        Ok(count)
    }
}

/// What rustls says of a connection that was cut off refers to its manual.
fn in_short(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(
            ErrorKind::UnexpectedEof,
            "the peer closed the connection before the end of TLS (close_notify)",
        ),
        _ => error,
    }
}
