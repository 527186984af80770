//! Whether a socket is ready. The event loop says so in which that is asked first: from then on the
//! socket is with it.

use futures_util::FutureExt;
use socket2::Socket;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::io::{Interest, Ready};
use tokio::runtime::Handle;

#[cfg(not(unix))]
use of_others as system;
#[cfg(unix)]
use of_unix as system;

/// Whether the event loop says that urgent data has come: see [`Readiness::has_urgent`].
pub const TELLS_OF_URGENT: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The place of a socket in an event loop, and a share in the socket.
#[derive(Debug, Default)]
pub struct Readiness(OnceLock<system::Registration>);

impl Readiness {
    /// Has the event loop of the current runtime say it, unless another does already.
    ///
    /// # Errors
    /// If there is no runtime, or what the operating system says.
    pub fn register(&self, socket: &Arc<Socket>) -> io::Result<()> {
        self.of(socket).map(|_| ())
    }

    /// Whether an event loop says it.
    pub fn is_registered(&self) -> bool {
        self.0.get().is_some()
    }

    #[inline]
    fn of(&self, socket: &Arc<Socket>) -> io::Result<&system::Registration> {
        match self.0.get() {
            Some(registration) => Ok(registration),
            None => self.new_of(socket),
        }
    }

    #[cold]
    fn new_of(&self, socket: &Arc<Socket>) -> io::Result<&system::Registration> {
        if Handle::try_current().is_err() {
            return Err(io::Error::other("a socket is used outside a tokio runtime"));
        }
        let registration = system::register(socket)?;
        Ok(self.0.get_or_init(|| registration))
    }

    /// Does something if the socket counts as ready for it. If it would block, the socket counts as ready
    /// no more until the kernel says so.
    pub fn try_io<R>(
        &self,
        socket: &Arc<Socket>,
        interest: Interest,
        io: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        system::try_io(self.of(socket)?, interest, io)
    }

    /// Whether urgent data has come since it is with an event loop, or its peer has ended. Both stay so:
    /// nobody is told when urgent data is over.
    pub fn has_urgent(&self) -> bool {
        self.0.get().is_some_and(system::has_urgent)
    }

    /// Waits until it counts as ready to be read from. One task can wait at a time.
    pub fn poll_readable(
        &self,
        socket: &Arc<Socket>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        system::poll_readable(self.of(socket)?, cx)
    }

    /// Waits until it counts as ready to be written to. One task can wait at a time.
    pub fn poll_writable(
        &self,
        socket: &Arc<Socket>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        system::poll_writable(self.of(socket)?, cx)
    }

    /// Waits until it counts as failed, whoever else waits for what. One that is with no event loop never
    /// does.
    pub async fn failed(&self, socket: &Arc<Socket>) {
        let failed = match self.of(socket) {
            Ok(registration) => system::failed(registration).await,
            Err(error) => Err(error),
        };
        if failed.is_err() {
            std::future::pending().await
        }
    }

    /// Whether nothing can be received or sent any more, as far as the event loop knows.
    pub fn has_hung_up(&self, socket: &Arc<Socket>) -> bool {
        let closed = |ready: Ready| ready.is_read_closed() && ready.is_write_closed();
        self.known(socket).is_some_and(closed)
    }

    /// Whether nothing can be received any more, as far as the event loop knows. Such a socket counts as
    /// ready for ever, also if there is nothing to be read.
    pub fn has_ended(&self, socket: &Arc<Socket>) -> bool {
        self.known(socket)
            .is_some_and(|ready| ready.is_read_closed())
    }

    fn known(&self, socket: &Arc<Socket>) -> Option<Ready> {
        self.of(socket).ok().and_then(system::known)
    }

    /// The same, also while other tasks wait.
    #[cfg(feature = "tls")]
    pub async fn writable(&self, socket: &Arc<Socket>) -> io::Result<()> {
        system::writable(self.of(socket)?).await
    }
}

const EITHER_WAY: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Where sockets are file descriptors.
#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "tokio's AsyncFd is to keep the descriptor in a shared socket, which its safe constructor cannot know to stay the same"
)]
mod of_unix {
    use super::*;
    use tokio::io::unix::AsyncFd;

    pub type Registration = AsyncFd<Arc<Socket>>;

    const READ_AND_WRITE: Interest = Interest::READABLE.add(Interest::WRITABLE);

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ALL: Interest = READ_AND_WRITE.add(Interest::PRIORITY);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const ALL: Interest = READ_AND_WRITE;

    pub fn register(socket: &Arc<Socket>) -> io::Result<Registration> {
        // SAFETY: the socket is open for as long as this has a share in it, and it is always the same
        // descriptor.
        let registered = unsafe { AsyncFd::register_with_interest(Arc::clone(socket), ALL) };
        Ok(registered?)
    }

    /// It asks nobody: what the event loop has said once is never taken back.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn has_urgent(registration: &Registration) -> bool {
        registration.try_io(Interest::PRIORITY, |_| Ok(())).is_ok()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn has_urgent(_: &Registration) -> bool {
        false
    }

    pub fn try_io<R>(
        registration: &Registration,
        interest: Interest,
        io: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        registration.try_io(interest, |_| io())
    }

    pub fn poll_readable(
        registration: &Registration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        registration.poll_read_ready(cx).map_ok(|_| ())
    }

    pub fn poll_writable(
        registration: &Registration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        registration.poll_write_ready(cx).map_ok(|_| ())
    }

    #[cfg(feature = "tls")]
    pub async fn writable(registration: &Registration) -> io::Result<()> {
        registration.writable().await.map(|_| ())
    }

    pub async fn failed(registration: &Registration) -> io::Result<()> {
        registration.ready(Interest::ERROR).await.map(|_| ())
    }

    pub fn known(registration: &Registration) -> Option<Ready> {
        let known = registration.ready(EITHER_WAY).now_or_never()?;
        known.ok().map(|guard| guard.ready())
    }
}

/// Where they are not, a second handle of the socket is with the event loop.
#[cfg(not(unix))]
mod of_others {
    use super::*;
    use tokio::net::TcpStream;

    pub type Registration = TcpStream;

    pub fn register(socket: &Arc<Socket>) -> io::Result<Registration> {
        TcpStream::from_std(socket.try_clone()?.into())
    }

    pub fn has_urgent(_: &Registration) -> bool {
        false
    }

    pub fn try_io<R>(
        registration: &Registration,
        interest: Interest,
        io: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        registration.try_io(interest, io)
    }

    pub fn poll_readable(
        registration: &Registration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        registration.poll_read_ready(cx)
    }

    pub fn poll_writable(
        registration: &Registration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        registration.poll_write_ready(cx)
    }

    #[cfg(feature = "tls")]
    pub async fn writable(registration: &Registration) -> io::Result<()> {
        registration.writable().await
    }

    pub async fn failed(registration: &Registration) -> io::Result<()> {
        registration.ready(Interest::ERROR).await.map(|_| ())
    }

    pub fn known(registration: &Registration) -> Option<Ready> {
        registration.ready(EITHER_WAY).now_or_never()?.ok()
    }
}
