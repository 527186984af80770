//! The handle to a listener, for native code.
//!
//! The component that accepts and the task that drives it are in [`acceptor`].

mod acceptor;
mod addresses;
mod builder;
mod callback;
mod control;
mod rate;
mod state;

pub use builder::ListenerBuilder;
pub(crate) use callback::ConnectionCallback;
pub use rate::AcceptRate;
pub use state::{AcceptError, Recovery, State, Stats, StopReason};

use crate::connection::OnRelease;
use crate::{Connection, Error, ErrorCode, Host, ListenSource};
use callback::{OneAtATime, TaskCallback};
use control::{Control, Status, Wanted};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::watch;

/// A TCP listener whose connections are accepted by a WebAssembly component.
///
/// It is a handle: clones are the same listener, and any thread may use them, also from within a
/// callback. No call waits for the listener or for a callback, so none can deadlock.
///
/// A callback is a closure, which is called for one connection at a time ([`set_callback`]), or an
/// async function, of which each connection gets a task ([`set_async_callback`]). After
/// [`disable`] no further one is started; one that is running goes on.
///
/// The listener is closed by [`close`], by [`drain`] when all who wait are served, or when its last
/// handle is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let host = evconn::Host::new()?;
/// let listener = evconn::Listener::bind(&host, "127.0.0.1:0".parse()?).await?;
/// listener.set_async_callback(|_listener, mut connection| async move {
///     if let Err(error) = connection.write_all(b"Hello!\n").await {
///         eprintln!("{}: {error}", connection.peer_addr());
///     }
/// });
///
/// let mut peer = tokio::net::TcpStream::connect(listener.local_addr()).await?;
/// let mut greeting = String::new();
/// peer.read_to_string(&mut greeting).await?;
/// assert_eq!(greeting, "Hello!\n");
/// # Ok(())
/// # }
/// ```
///
/// [`set_callback`]: Self::set_callback
/// [`set_async_callback`]: Self::set_async_callback
/// [`disable`]: Self::disable
/// [`close`]: Self::close
/// [`drain`]: Self::drain
#[derive(Clone)]
pub struct Listener(Arc<Handle>);

/// What the handles have in common. Its end tells the acceptor that no handle is left.
pub(crate) struct Handle {
    control: watch::Sender<Control>,
    status: watch::Receiver<Status>,
    local_addrs: Vec<SocketAddr>,
    name: String,
}

impl Listener {
    /// Listen on `address`, with the defaults of [`Listener::builder`]. Port 0 lets the kernel
    /// choose one, which [`local_addr`](Self::local_addr) then tells.
    ///
    /// Until a callback is set, peers wait in the kernel's queue.
    ///
    /// # Errors
    /// [`Error::Socket`] with what the operating system says: the address is in use, is not this
    /// machine's, needs a privilege. [`Error::Acceptor`] if the component fails.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn bind(host: &Host, address: SocketAddr) -> Result<Self, Error> {
        Self::builder(host).bind(address).await
    }

    /// Listen on each socket that `source` has, with the defaults of [`Listener::builder`]: see
    /// [`ListenerBuilder::listen_on`].
    ///
    /// # Errors
    /// As [`ListenerBuilder::listen_on`]. Nothing is left open then.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn listen(host: &Host, source: &ListenSource) -> Result<Vec<Self>, Error> {
        Self::builder(host).listen_on(source).await
    }

    /// To say how a listener is to be made.
    pub fn builder(host: &Host) -> ListenerBuilder {
        ListenerBuilder::new(host)
    }

    /// Where it listens, in the form that [`ListenSource`] has: `127.0.0.1:9876`, `[::]:9876`,
    /// `unix:/run/app.sock`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The address that it listens on, with the actual port: of a dual-stack listener, that of IPv6.
    /// Of a Unix socket, it is port 0 of 127.0.0.1.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addrs[0]
    }

    /// The addresses that it listens on, with their actual ports: at least one.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.0.local_addrs
    }

    /// Accept from now on, if a callback is set. Idempotent.
    ///
    /// # Errors
    /// [`Error::Socket`] with [`ErrorCode::InvalidState`] if the listener has stopped,
    /// [`Error::Closed`] if it was closed. Nothing is changed then.
    pub fn enable(&self) -> Result<(), Error> {
        match self.state() {
            State::Stopped(_) => return Err(Error::Socket(ErrorCode::InvalidState)),
            State::Closed => return Err(Error::Closed),
            State::Accepting | State::Disabled | State::Paused | State::BackingOff(_) => {}
        }
        self.change(|control| control.enabled = true);
        Ok(())
    }

    /// Start no further callback until [`enable`](Self::enable). Idempotent.
    ///
    /// Peers are not refused: they wait in the kernel's queue. To wait for a callback that is
    /// running, use [`idle`](Self::idle).
    pub fn disable(&self) {
        self.change(|control| control.enabled = false);
    }

    /// Have a closure called for each connection, one after the other.
    ///
    /// It runs on a thread where it may block. The next connection is not taken before it returns:
    /// if it disables the listener, that one stays queued; if it sets another callback, that one
    /// gets it. If it panics, the panic is logged and the next connection is taken.
    pub fn set_callback(&self, callback: impl FnMut(&Self, Connection) + Send + 'static) {
        self.set_connection_callback(Some(ConnectionCallback::closure(callback)));
    }

    /// Have an async function called for each connection, each in a task of its own.
    pub fn set_async_callback<F, Fut>(&self, callback: F)
    where
        F: Fn(Self, Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.set_connection_callback(Some(ConnectionCallback::task(callback)));
    }

    /// Call nothing for connections: the listener pauses, and peers wait in the kernel's queue.
    pub fn clear_callback(&self) {
        self.set_connection_callback(None);
    }

    pub(crate) fn set_connection_callback(&self, callback: Option<ConnectionCallback>) {
        self.change(|control| std::mem::replace(&mut control.on_connection, callback));
    }

    /// Change what is wanted, and drop what that replaces when nothing is locked any more: its drop
    /// may use this listener.
    fn change<T>(&self, change: impl FnOnce(&mut Control) -> T) {
        let mut replaced = None;
        self.0
            .control
            .send_modify(|control| replaced = Some(change(control)));
        drop(replaced);
    }

    /// Have a closure called for each error of accept that is to be reported: at most one for each
    /// step of the backoff, and one when the listener stops. Without it, they are logged.
    ///
    /// It is called as the closure of [`set_callback`](Self::set_callback) is, and never at the
    /// same time.
    pub fn set_error_callback(&self, callback: impl FnMut(&Self, AcceptError) + Send + 'static) {
        let callback = Some(OneAtATime::new(callback));
        self.change(|control| std::mem::replace(&mut control.on_error, callback));
    }

    /// Call nothing for errors: they are logged.
    pub fn clear_error_callback(&self) {
        self.change(|control| control.on_error.take());
    }

    /// What the listener is doing.
    pub fn state(&self) -> State {
        let control = self.0.control.borrow();
        let status = self.0.status.borrow();
        if control.closed || status.closed && status.stopped.is_none() {
            return State::Closed;
        }
        if let Some(reason) = &status.stopped {
            return State::Stopped(reason.clone());
        }
        if !control.enabled {
            return State::Disabled;
        }
        if control.on_connection.is_none() {
            return State::Paused;
        }
        let left = status
            .backing_off_until
            .map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if !left.is_zero() => State::BackingOff(left),
            _ => State::Accepting,
        }
    }

    /// What has happened so far: as of the last time that the listener looked for connections.
    pub fn stats(&self) -> Stats {
        self.0.status.borrow().stats
    }

    /// End a backoff early, because something that may have been its reason is over. It has an
    /// effect at most once in 5 ms. A [`Connection`] that is dropped does it by itself.
    pub fn retry(&self) {
        self.0.retry();
    }

    /// Close the sockets, and start no further callback. Idempotent.
    ///
    /// Peers that wait are reset ([`drain`](Self::drain) takes them first); connections that were delivered live on. The port may still be
    /// in use when this returns: [`closed`](Self::closed) waits until it is free.
    pub fn close(&self) {
        self.change(|control| {
            control.closed = true;
            // What a callback has captured goes with it, this listener's handles among it.
            (control.on_connection.take(), control.on_error.take())
        });
    }

    /// Take what waits in the kernel's queue, and then close. Idempotent, and it returns at once:
    /// [`closed`](Self::closed) waits until it is over, [`close`](Self::close) ends it early.
    ///
    /// A connection whose handshake was complete before this was called is delivered, as any other is:
    /// to the callback, and at the pace that permits and an [`AcceptRate`] allow. One whose handshake
    /// was under way is waited for, for up to 2 seconds. A connection that waits for its first byte
    /// ([`ListenerBuilder::deferred_accept`]) is delivered when that comes, or closed after its time.
    /// A listener that is disabled, or has no callback, goes on when it is enabled or gets one.
    ///
    /// Peers that come later are dealt with by the kernel. Those of a Unix socket are refused, and its
    /// file goes at once. Those of a TCP socket wait until the socket is closed, and are refused then:
    /// they notice within a second or so, when they repeat their first packet. That is so on Linux;
    /// elsewhere peers get in until the queue is found empty, and are reset if they come between that
    /// and the close.
    ///
    /// A socket that was passed here by another program is left to whoever else has it: what waits in
    /// its queue is not taken any more. Only if nobody else has it, the close resets those peers.
    ///
    /// Handles have to be kept until it is over: without any, the listener is closed at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let host = evconn::Host::new()?;
    /// let listener = evconn::Listener::bind(&host, "127.0.0.1:0".parse()?).await?;
    /// let mut peer = tokio::net::TcpStream::connect(listener.local_addr()).await?;
    /// listener.drain();
    /// listener.set_async_callback(|_listener, mut connection| async move {
    ///     if let Err(error) = connection.write_all(b"You are the last.\n").await {
    ///         eprintln!("{}: {error}", connection.peer_addr());
    ///     }
    /// });
    /// listener.closed().await;
    /// let mut greeting = String::new();
    /// peer.read_to_string(&mut greeting).await?;
    /// assert_eq!(greeting, "You are the last.\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self) {
        self.change(|control| control.draining = true);
    }

    /// Wait until the listener is closed: its sockets are, and none of its closures is running.
    ///
    /// This waits for ever if nobody closes or drains it, and if a closure waits for it.
    pub async fn closed(&self) {
        self.until(|_, status| status.closed && !status.in_closure)
            .await;
    }

    /// Wait until nothing is left to wait for: the listener is disabled, paused, stopped or closed,
    /// and none of its closures is running. libevent's `event_base_dispatch` returns then.
    pub async fn idle(&self) {
        self.until(|control, status| {
            let idle = control.closed
                || status.closed
                || status.stopped.is_some()
                || !control.enabled
                || control.on_connection.is_none();
            idle && !status.in_closure
        })
        .await;
    }

    /// Wait until the listener will accept no more: it has stopped, or is closed.
    pub(crate) async fn ended(&self) {
        self.until(|control, status| control.closed || status.closed || status.stopped.is_some())
            .await;
    }

    async fn until(&self, condition: impl Fn(&Control, &Status) -> bool) {
        let mut control = self.0.control.subscribe();
        let mut status = self.0.status.clone();
        // The acceptor says that it starts a closure while it looks at the control (see
        // `acceptor::run`): whoever sees what it wanted there sees the closure in the status.
        while !condition(&control.borrow_and_update(), &status.borrow_and_update()) {
            let changed = tokio::select! {
                changed = control.changed() => changed,
                changed = status.changed() => changed,
            };
            if changed.is_err() {
                // The acceptor is gone, with the runtime that it ran on. Nothing will change.
                return;
            }
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local_addrs", &self.0.local_addrs)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Handle {
    fn retry(&self) {
        let until = self.status.borrow().backing_off_until;
        if until.is_some_and(|until| until > Instant::now()) {
            self.control.send_modify(|control| control.retries += 1);
        }
    }
}

/// The way to a listener's handle, which does not keep it.
struct Owner(Weak<Handle>);

impl Owner {
    /// The listener, unless its last handle is gone.
    fn listener(&self) -> Option<Listener> {
        self.0.upgrade().map(Listener)
    }

    /// Tells the listener that a descriptor has become free.
    fn on_release(&self) -> OnRelease {
        let handle = Weak::clone(&self.0);
        OnRelease::new(move || {
            if let Some(handle) = handle.upgrade() {
                handle.retry();
            }
        })
    }
}
