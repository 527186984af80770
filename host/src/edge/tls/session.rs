//! A session: what goes through a connection once its handshake is done.
//!
//! It offers what the socket below it does: to receive and to send without waiting, and to wait for
//! either. Bytes that it has taken but the kernel has not are sent by a task of their own, so that
//! they get there whatever the owner does next.

use super::TlsConfig;
use super::handshake;
use super::wire::Wire;
use crate::edge::plain::Plain;
use crate::edge::refused::{Refused, shown};
use rustls::ServerConnection;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The most bytes that are taken from the sender and not yet by the kernel.
const SEND_BUFFER: usize = 64 << 10;

/// How often the socket is read in one go: a peer may send records that hold nothing.
const READS: usize = 16;

/// How long a dropped session goes on sending what it has taken.
const LINGER: Duration = Duration::from_secs(10);

/// The server's side of a TLS connection. Dropping it ends it properly, in the background if need
/// be, for up to 10 seconds; [`abort`](Self::abort) does not.
pub(crate) struct TlsSession {
    shared: Arc<Shared>,
}

impl TlsSession {
    /// Agree with the peer on a session, within the time that the configuration allows.
    pub(crate) async fn handshake(plain: Plain, config: &TlsConfig) -> Result<Self, Refused> {
        handshake::handshake(plain, config).await
    }

    pub(super) fn new(plain: Plain, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(SEND_BUFFER));
        let agreed = Agreed::of(&tls);
        Self {
            shared: Arc::new(Shared {
                plain,
                agreed,
                runtime: Handle::current(),
                aborted: CancellationToken::new(),
                state: Mutex::new(State {
                    tls,
                    failed: None,
                    sending: Sending::Open,
                    pushing: false,
                }),
            }),
        }
    }

    /// The socket below.
    pub(crate) fn plain(&self) -> &Plain {
        &self.shared.plain
    }

    /// What the handshake came to, for the log.
    pub(crate) fn agreed(&self) -> &Agreed {
        &self.shared.agreed
    }

    /// Read what is there. `WouldBlock` if nothing is; 0 once the peer has said that it ends.
    /// `UnexpectedEof` if it ended without saying so: what came before may have been cut off.
    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.shared.with_state(|state, plain| {
            for _ in 0..READS {
                match state.tls.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => state.receive(plain)?,
                    result => return result,
                }
            }
            Err(ErrorKind::WouldBlock.into())
        })
    }

    /// Take bytes to be sent: no more than there is room for. `WouldBlock` while the kernel has not
    /// taken what was given before.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.with_state(|state, plain| {
            if !matches!(state.sending, Sending::Open) {
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

    /// Wait until `try_recv` has something to say.
    pub(crate) async fn readable(&self) {
        loop {
            let has_input = self
                .shared
                .with_state(|state, plain| state.receive_input(plain));
            // An error is something to say, too.
            if has_input.unwrap_or(true) {
                return;
            }
            tokio::task::consume_budget().await;
            self.shared.plain.readable().await;
        }
    }

    /// Wait until `try_send` has room or an error.
    pub(crate) async fn writable(&self) {
        let _ = self.flush().await;
    }

    /// Wait until the kernel has taken all bytes.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        self.shared.flush().await
    }

    /// Say that nothing more is sent, once the rest is: with a `close_notify`, and then the
    /// connection's own end. It can go on receiving.
    pub(crate) fn shutdown_send(&self) -> io::Result<()> {
        self.shared.with_state(|state, plain| {
            if matches!(state.sending, Sending::Open) {
                state.tls.send_close_notify();
                state.sending = Sending::Ending;
            }
            state.push(plain).map(|_all| ())
        })
    }

    /// End it now: what was not sent is not, and the peer can tell, since nothing says that this is
    /// the end.
    pub(crate) fn abort(&self) {
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
        if self.shutdown_send().is_err() || self.shared.is_done() {
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

/// What the handshake came to.
#[derive(Debug)]
pub(crate) struct Agreed {
    version: Option<rustls::ProtocolVersion>,
    server_name: Option<String>,
    protocol: Option<String>,
}

impl Agreed {
    fn of(tls: &ServerConnection) -> Self {
        Self {
            version: tls.protocol_version(),
            server_name: tls.server_name().map(|name| shown(name.as_bytes())),
            protocol: tls.alpn_protocol().map(shown),
        }
    }
}

/// Such as `TLSv1_3, name "example.org", protocol "h2"`. What the peer chose is escaped and cut.
impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{version:?}")?,
            None => f.write_str("TLS")?,
        }
        if let Some(name) = &self.server_name {
            write!(f, ", name \"{name}\"")?;
        }
        if let Some(protocol) = &self.protocol {
            write!(f, ", protocol \"{protocol}\"")?;
        }
        Ok(())
    }
}

/// What a session and the task that sends for it have in common.
struct Shared {
    plain: Plain,
    agreed: Agreed,
    runtime: Handle,
    aborted: CancellationToken,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Do something with the session. What it leaves to be sent, a task will send.
    fn with_state<T>(
        self: &Arc<Self>,
        action: impl FnOnce(&mut State, &Plain) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        let result = action(&mut state, &self.plain);
        if !state.pushing && !state.is_done() {
            state.pushing = true;
            self.runtime.spawn(Arc::clone(self).push());
        }
        result
    }

    /// Send until there is nothing left to be sent.
    async fn push(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.plain.writable() => {}
                () = self.aborted.cancelled() => {}
            }
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
            tokio::select! {
                () = self.plain.writable() => {}
                () = self.aborted.cancelled() => {}
            }
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

struct State {
    tls: ServerConnection,
    /// What ended the session before its time. Errors cannot be cloned: this is what they consist of.
    failed: Option<(ErrorKind, String)>,
    sending: Sending,
    /// Whether there is a task that sends.
    pushing: bool,
}

/// How far this side's end is.
enum Sending {
    Open,
    /// The `close_notify` waits to be sent.
    Ending,
    Ended,
}

impl State {
    /// Whether there is nothing to be sent, or no way to.
    fn is_done(&self) -> bool {
        self.failed.is_some()
            || (!self.tls.wants_write() && !matches!(self.sending, Sending::Ending))
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

    /// Pass an error on, and keep it if the session cannot go on after it.
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != ErrorKind::WouldBlock {
                self.fail(error);
            }
        })
    }

    /// Send what the kernel takes. Returns whether that was all.
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
        if matches!(self.sending, Sending::Ending) {
            self.sending = Sending::Ended;
            let ended = plain.shutdown_send();
            self.note(ended)?;
        }
        Ok(true)
    }

    /// Read the socket once, and answer what is to be answered.
    fn receive(&mut self, plain: &Plain) -> io::Result<()> {
        self.check()?;
        match self.tls.read_tls(&mut Wire(plain)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => self.note(result)?,
        };
        let processed = self.tls.process_new_packets();
        // Whether it can be sent is not the reader's concern.
        let _ = self.push(plain);
        let processed = processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
        self.note(processed).map(|_state| ())
    }

    /// Read the socket until there is something for the reader: whether there is.
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

    /// Whether there are bytes, an end or an error to be read.
    fn has_input(&mut self) -> io::Result<bool> {
        use std::io::BufRead;
        match self.tls.reader().fill_buf() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.check().map(|()| false),
            Err(error) => Err(error),
        }
    }
}
