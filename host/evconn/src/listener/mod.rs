//! The handle to a listener, for native code.
//!
//! [`acceptor`] has the component that accepts, and the task that drives it.

mod acceptor;
mod addresses;
mod builder;
mod callback;
mod control;
mod native;
mod permits;
mod rate;
mod rules;
mod state;

pub use builder::ListenerBuilder;
pub(crate) use callback::ConnectionCallback;
pub use native::Listening;
pub(crate) use permits::{LocalPermits, Permit, PermitSource};
pub use rate::AcceptRate;
pub(crate) use rate::Source as TokenSource;
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
/// A listener is a handle: clones refer to the same listener, and any thread may use them, also from
/// within a callback. No call waits for the listener or for a callback, so none can deadlock.
///
/// A callback is a closure, which is called for one connection at a time ([`set_callback`]), or an async
/// function, which runs in a task for each connection ([`set_async_callback`]). After [`disable`] no
/// further callback is started; one that is running continues.
///
/// The listener is closed by [`close`], at the end of [`drain`], or when its last handle is dropped.
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

/// The state shared by all clones. Dropping it tells the acceptor that no handle is left.
pub(crate) struct Handle {
    control: watch::Sender<Control>,
    status: watch::Receiver<Status>,
    local_addrs: Vec<SocketAddr>,
    name: String,
}

impl Listener {
    /// Listens on `address`, with the defaults of [`Listener::builder`]. With port 0, the kernel chooses
    /// a port, which [`local_addr`](Self::local_addr) returns.
    ///
    /// Until a callback is set, peers wait in the accept queue.
    ///
    /// # Errors
    /// [`Error::Socket`] with the error of the operating system: the address is in use, does not belong
    /// to this machine, or requires a privilege. [`Error::Acceptor`] if the component fails.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub async fn bind(host: &Host, address: SocketAddr) -> Result<Self, Error> {
        Self::builder(host).bind(address).await
    }

    /// Listens on each socket of `source`, with the defaults of [`Listener::builder`]: see
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

    /// Returns a builder that configures a listener.
    pub fn builder(host: &Host) -> ListenerBuilder {
        ListenerBuilder::new(host)
    }

    /// Returns where it listens, in the syntax of [`ListenSource`]: `127.0.0.1:9876`, `[::]:9876`,
    /// `unix:/run/app.sock`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the address on which it listens, with the actual port. For a dual-stack listener, this is
    /// the IPv6 address; for a Unix socket, it is port 0 of 127.0.0.1.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addrs[0]
    }

    /// Returns the addresses on which it listens, with their actual ports: at least one.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.0.local_addrs
    }

    /// Enables accepting, which also requires a callback. Idempotent.
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

    /// Disables accepting: no further callback is started until [`enable`](Self::enable). Idempotent.
    ///
    /// Peers are not refused, but wait in the accept queue. To wait for a callback that is running, use
    /// [`idle`](Self::idle).
    pub fn disable(&self) {
        self.change(|control| control.enabled = false);
    }

    /// Sets a closure that is called for each connection, one after the other.
    ///
    /// It runs on a thread where it may block. The next connection is accepted after it returns: if it
    /// disables the listener, that connection stays queued; if it sets another callback, that one gets
    /// the connection. A panic in the closure is logged, and accepting continues.
    pub fn set_callback(&self, callback: impl FnMut(&Self, Connection) + Send + 'static) {
        self.set_connection_callback(Some(ConnectionCallback::closure(callback)));
    }

    /// Sets an async function that is run for each connection, each in a task of its own.
    pub fn set_async_callback<F, Fut>(&self, callback: F)
    where
        F: Fn(Self, Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.set_connection_callback(Some(ConnectionCallback::task(callback)));
    }

    /// Removes the callback: the listener pauses, and peers wait in the accept queue.
    pub fn clear_callback(&self) {
        self.set_connection_callback(None);
    }

    pub(crate) fn set_connection_callback(&self, callback: Option<ConnectionCallback>) {
        self.change(|control| std::mem::replace(&mut control.on_connection, callback));
    }

    /// Changes the control state. What this replaces is dropped after the lock is released, since its
    /// destructor may use this listener.
    fn change<T>(&self, change: impl FnOnce(&mut Control) -> T) {
        let mut replaced = None;
        self.0
            .control
            .send_modify(|control| replaced = Some(change(control)));
        drop(replaced);
    }

    /// Sets a closure that is called for each reported error of accept: at most one for each backoff
    /// step, and one when the listener stops. Without it, errors are logged.
    ///
    /// It is called like the closure of [`set_callback`](Self::set_callback), and never at the same time.
    pub fn set_error_callback(&self, callback: impl FnMut(&Self, AcceptError) + Send + 'static) {
        let callback = Some(OneAtATime::new(callback));
        self.change(|control| std::mem::replace(&mut control.on_error, callback));
    }

    /// Removes the error callback: errors are logged.
    pub fn clear_error_callback(&self) {
        self.change(|control| control.on_error.take());
    }

    /// Returns the state of the listener.
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

    /// Returns the statistics as of the last time that the listener polled for connections.
    pub fn stats(&self) -> Stats {
        self.0.status.borrow().stats
    }

    /// Ends a backoff early, because its cause may be gone. This has an effect at most once in 5 ms.
    /// Dropping a [`Connection`] does it automatically.
    pub fn retry(&self) {
        self.0.retry();
    }

    /// Closes the sockets. No further callback is started. Idempotent.
    ///
    /// Peers in the accept queue are reset (use [`drain`](Self::drain) to serve them first); connections
    /// that were delivered stay open. The port may still be in use when this returns:
    /// [`closed`](Self::closed) waits until it is free.
    pub fn close(&self) {
        self.change(|control| {
            control.closed = true;
            // What a callback has captured is dropped with it, which may include this listener's handles.
            (control.on_connection.take(), control.on_error.take())
        });
    }

    /// Accepts the connections in the accept queue, then closes the listener. Idempotent. It returns
    /// immediately: [`closed`](Self::closed) waits for the end, [`close`](Self::close) ends the drain
    /// early.
    ///
    /// A connection whose handshake was complete before this call is delivered like any other: to the
    /// callback, and as fast as permits and an [`AcceptRate`] allow. Handshakes in progress are waited
    /// for, for up to 2 seconds. A connection that is held for its first byte
    /// ([`ListenerBuilder::deferred_accept`]) is delivered when the byte arrives, or closed after its
    /// timeout. A listener that is disabled, or has no callback, continues to drain when it is enabled or
    /// gets one.
    ///
    /// What happens to peers that connect later depends on the kernel. On a Unix socket they are refused,
    /// and its file is removed immediately. On a TCP socket on Linux they wait until the socket is
    /// closed, and are refused then: they notice within about a second, when they repeat their first
    /// packet. On other systems peers are accepted until the queue is found empty; peers that connect
    /// between that and the close are reset.
    ///
    /// If the socket was inherited, the drain leaves its queue to the other processes that have it and
    /// accepts nothing more. If no other process has it, closing it resets those peers.
    ///
    /// Keep a handle until the drain is over: the listener is closed when its last handle is dropped.
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

    /// Leaves the accept queue to the other processes that accept from the socket, then closes the
    /// listener: peers continue to connect. A connection that was accepted already is delivered. A
    /// [`drain`](Self::drain) does so by itself if the socket was inherited.
    pub fn leave_queue(&self) {
        self.change(|control| {
            control.leaves_queue = true;
            control.draining = true;
        });
    }

    /// Waits until the listener is closed: its sockets are closed, and none of its closures is running.
    ///
    /// This never returns if nothing closes or drains the listener, or if one of its closures waits for
    /// it.
    pub async fn closed(&self) {
        self.until(|_, status| status.closed && !status.in_closure)
            .await;
    }

    /// Waits until the listener has nothing left to wait for: it is disabled, paused, stopped or closed,
    /// and none of its closures is running. libevent's `event_base_dispatch` returns in this case.
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

    /// Waits until the listener will accept no more: it has stopped, or is closed.
    pub(crate) async fn ended(&self) {
        self.until(|control, status| control.closed || status.closed || status.stopped.is_some())
            .await;
    }

    async fn until(&self, condition: impl Fn(&Control, &Status) -> bool) {
        let mut control = self.0.control.subscribe();
        let mut status = self.0.status.clone();
        // The acceptor publishes that it starts a closure while it has the control state borrowed (see
        // `acceptor::run`), so whoever sees that state also sees the closure in the status.
        while !condition(&control.borrow_and_update(), &status.borrow_and_update()) {
            let changed = tokio::select! {
                changed = control.changed() => changed,
                changed = status.changed() => changed,
            };
            if changed.is_err() {
                // The acceptor has ended with the runtime on which it ran. Nothing will change.
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

/// A weak reference to a listener's handle.
struct Owner(Weak<Handle>);

impl Owner {
    /// Returns the listener, unless its last handle was dropped.
    fn listener(&self) -> Option<Listener> {
        self.0.upgrade().map(Listener)
    }

    /// Returns what tells the listener that a descriptor has become free.
    fn on_release(&self) -> OnRelease {
        let handle = Weak::clone(&self.0);
        OnRelease::new(move || {
            if let Some(handle) = handle.upgrade() {
                handle.retry();
            }
        })
    }
}
