//! Accepting connections, in programs.

use super::address::{from_wasi, to_wasi};
use super::bindings::command::evconn::tcp::listener as wit;
use super::{ErrorCode, TcpStream};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;
use wit_bindgen_async::yield_async;

pub use wit::{State, Stats};

/// How many connections are taken from the listener at a time: a call between components costs more than a connection.
const BATCH: u32 = 64;

/// The callback of connections, and that of errors: whoever calls [`Listener::next`] gets both.
const CALLBACK: wit::Callback = 0;

/// A TCP listener, for programs that are composed with it by `evconn compose` or `evconn run`.
///
/// Dropping it closes its sockets; connections that it has delivered are not affected.
///
/// ```no_run
/// # use evconn_guest::p3::Listener;
/// # async fn example() -> std::io::Result<()> {
/// let mut listener = Listener::builder().backlog(128).bind(([0, 0, 0, 0], 9876))?;
/// while let Some(next) = listener.next().await {
///     match next {
///         Ok((connection, peer)) => evconn_guest::println!("{peer} has connected"),
///         Err(error) => evconn_guest::eprintln!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Listener {
    /// The call that waits for events: ended before the listener is dropped.
    waiting: Option<Pin<Box<dyn Future<Output = Vec<wit::Event>>>>>,
    taken: VecDeque<wit::Event>,
    listener: Rc<wit::Listener>,
}

impl Listener {
    /// Listens on an address, with the defaults of [`builder`](Self::builder). With port 0, the system chooses the port.
    ///
    /// # Errors
    /// If the address is in use or not this machine's, or the host does not grant it.
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        Self::builder().bind(address)
    }

    /// Returns a builder with the default options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Waits for the next connection, and returns it with its peer's address.
    ///
    /// `None` means that the listener has stopped: it never accepts again. While it is [disabled](Control::disable), it
    /// waits. It is cancel-safe: if the future is dropped, nothing is lost.
    ///
    /// # Errors
    /// An error of accept that concerns all connections, such as that there are no descriptors left. Unless it is
    /// [fatal](Recovery::Stopped), the listener goes on by itself: call this again.
    pub async fn next(&mut self) -> Option<Result<(TcpStream, SocketAddr), AcceptError>> {
        if self.taken.is_empty() {
            self.taken = self.wait().await.into();
        }
        Some(match self.taken.pop_front()? {
            wit::Event::Connection(event) => {
                let peer = from_wasi(event.peer_address);
                Ok((TcpStream::accepted(event.socket, event.received), peer))
            }
            wit::Event::Error(event) => Err(AcceptError {
                code: event.code,
                recovery: match event.recovery {
                    wit::Recovery::Retrying(after) => {
                        Recovery::Retrying(Duration::from_nanos(after))
                    }
                    wit::Recovery::Stopped => Recovery::Stopped,
                },
            }),
        })
    }

    /// Returns the addresses that it listens on, with their ports: for a dual-stack listener, the IPv6 address first.
    ///
    /// # Errors
    /// None is expected.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.listener.local_addresses()?;
        Ok(addresses.into_iter().map(from_wasi).collect())
    }

    /// Returns a handle that controls it while something else waits for connections.
    pub fn control(&self) -> Control {
        Control(Rc::downgrade(&self.listener))
    }

    async fn wait(&mut self) -> Vec<wit::Event> {
        if self.waiting.is_none() {
            // Those who were accepted have their turn, even if there is always another one.
            yield_async().await;
            let listener = Rc::clone(&self.listener);
            self.waiting = Some(Box::pin(async move { listener.next_events(BATCH).await }));
        }
        let events = poll_fn(|cx| match &mut self.waiting {
            Some(waiting) => waiting.as_mut().poll(cx),
            None => Vec::new().into(),
        });
        let events = events.await;
        self.waiting = None;
        events
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// Controls a [`Listener`]. When that was dropped, its calls have no effect.
#[derive(Clone, Debug)]
pub struct Control(Weak<wit::Listener>);

impl Control {
    /// Has the listener accept no more until [`enable`](Self::enable): peers wait in the kernel's queue.
    pub fn disable(&self) {
        self.with(wit::Listener::disable);
    }

    /// Has the listener accept again.
    ///
    /// # Errors
    /// If it has stopped, or was dropped.
    pub fn enable(&self) -> io::Result<()> {
        match self.with(wit::Listener::enable) {
            Some(enabled) => Ok(enabled?),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Has the listener try again after an error: because a connection was closed, for example.
    pub fn retry(&self) {
        self.with(wit::Listener::retry);
    }

    /// Returns the state of the listener. `None`: it was dropped.
    pub fn state(&self) -> Option<State> {
        self.with(wit::Listener::state)
    }

    /// Returns the listener's counters. `None`: it was dropped.
    pub fn stats(&self) -> Option<Stats> {
        self.with(wit::Listener::stats)
    }

    fn with<R>(&self, act: impl FnOnce(&wit::Listener) -> R) -> Option<R> {
        self.0.upgrade().map(|listener| act(&listener))
    }
}

/// An error of accept.
#[derive(Clone, Debug)]
pub struct AcceptError {
    /// The error code.
    pub code: ErrorCode,
    /// What the listener does next.
    pub recovery: Recovery,
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(self.code.clone()).fmt(f)
    }
}

impl std::error::Error for AcceptError {}

/// What a listener does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A resource is exhausted. Accepting resumes by itself after this time, or earlier by [`Control::retry`].
    Retrying(Duration),
    /// The listener has stopped for good.
    Stopped,
}

/// Builds a [`Listener`].
#[derive(Clone, Debug, Default)]
#[must_use = "it makes no listener before `bind`"]
pub struct Builder {
    backlog: Option<u32>,
    disabled: bool,
    dual_stack: bool,
    ipv6_only: bool,
    deferred: Option<(u32, Duration)>,
}

impl Builder {
    /// Sets the size of the kernel's accept queue. Default: 4096. With 0, [`bind`](Self::bind) fails.
    pub fn backlog(mut self, size: u32) -> Self {
        self.backlog = Some(size);
        self
    }

    /// Makes a disabled listener, which accepts nothing before [`Control::enable`].
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Listens on `[::]` and `0.0.0.0`, or on `[::1]` and `127.0.0.1`, with one port. [`bind`](Self::bind) takes the
    /// IPv6 address.
    pub fn dual_stack(mut self) -> Self {
        self.dual_stack = true;
        self
    }

    /// Makes [`bind`](Self::bind) fail for an IPv4 address.
    pub fn ipv6_only(mut self) -> Self {
        self.ipv6_only = true;
        self
    }

    /// Delivers a connection when its peer has sent something, or has ended. Until then it is held: `max_held` at a
    /// time, and for `timeout`, after which it is closed. With 0, [`bind`](Self::bind) fails.
    pub fn deferred_accept(mut self, max_held: u32, timeout: Duration) -> Self {
        self.deferred = Some((max_held, timeout));
        self
    }

    /// Listens on an address. With port 0, the system chooses the port.
    ///
    /// # Errors
    /// If the address is in use or not this machine's, the host does not grant it, or an option is invalid.
    pub fn bind(self, address: impl Into<SocketAddr>) -> io::Result<Listener> {
        let options = self.options()?;
        let listener = wit::Listener::bind(to_wasi(address.into()), Some(&options))?;
        Ok(Listener {
            waiting: None,
            taken: VecDeque::new(),
            listener: Rc::new(listener),
        })
    }

    fn options(&self) -> io::Result<wit::Options> {
        let options = wit::Options::new();
        options.set_callback(Some(CALLBACK));
        options.set_error_callback(Some(CALLBACK));
        options.set_enabled(!self.disabled);
        options.set_dual_stack(self.dual_stack);
        options.set_ipv6_only(self.ipv6_only);
        if let Some(size) = self.backlog {
            options.set_backlog(size)?;
        }
        if let Some((max_held, timeout)) = self.deferred {
            let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            options.set_deferred_accept(max_held, timeout)?;
        }
        Ok(options)
    }
}
