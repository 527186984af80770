//! Serving: each connection of the listeners goes to a fresh instance of a service.

use crate::connection::{Parts, Peer};
use crate::edge::Refused;
use crate::listener::ConnectionCallback;
use crate::service::Failure;
use crate::{Error, Limits, Listener, Service, Shutdown, State};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What serving came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Connections that were accepted, those that were refused or failed among them.
    pub connections: u64,
    /// Connections that the service gave up with an error, or in which it trapped.
    pub failed: u64,
    /// Connections that did not get as far as the service: their TLS handshake failed, say, or their
    /// proxy is not trusted.
    pub refused: u64,
    /// Connections that were still open after the time of grace, and were ended then.
    pub killed: u64,
}

/// Serve the listener's connections until `shutdown` says so.
///
/// Each connection gets a fresh instance of the service, in a store of its own. A trap in it, or an
/// error that it returns, ends that connection: it is logged with its number and its peer, and no
/// other connection notices. At most [`Limits::max_connections`] are open at a time; the next one
/// is not even accepted before one of them ends.
///
/// The listener's callback is replaced. When this returns, the listener is closed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{Host, Limits, Listener, Service, Shutdown, guests};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let host = Host::new()?;
/// let service = Service::new(&host, guests::ECHO)?;
/// let listener = Listener::bind(&host, "127.0.0.1:0".parse()?).await?;
/// let address = listener.local_addr();
///
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let shutdown = Shutdown::on(stopped);
/// let server = tokio::spawn(evconn::serve(listener, service, Limits::default(), shutdown));
///
/// let mut peer = tokio::net::TcpStream::connect(address).await?;
/// peer.write_all(b"hello").await?;
/// peer.shutdown().await?;
/// let mut answer = String::new();
/// peer.read_to_string(&mut answer).await?;
/// assert_eq!(answer, "hello");
///
/// drop(stop);
/// assert_eq!(server.await??.connections, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::TooManyConnections`] if the host has no room for that many; [`Error::Socket`],
/// [`Error::Acceptor`] or [`Error::Closed`] if the listener ended before `shutdown` said so. Open
/// connections are given the time of grace then, too.
pub async fn serve(
    listener: Listener,
    service: Service,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<Served, Error> {
    serve_all(vec![listener], service, limits, shutdown).await
}

/// Serve the connections of several listeners, as [`serve`] does those of one. The limits are for
/// all of them together; when as many connections are open as may be, each listener may have accepted
/// one more, which waits.
///
/// A listener that ends by itself is logged, and the others go on.
///
/// # Errors
/// As [`serve`], when the last listener has ended: the error is that of the one that ended first.
pub async fn serve_all(
    listeners: Vec<Listener>,
    service: Service,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<Served, Error> {
    let capacity = service.host().max_connections();
    if limits.max_connections > capacity {
        return Err(Error::TooManyConnections {
            asked: limits.max_connections,
            capacity,
        });
    }
    let connections = Connections::new(service, limits);
    for listener in &listeners {
        listener.set_connection_callback(Some(connections.callback()));
    }

    let Shutdown { begin, now, grace } = shutdown;
    let outcome = tokio::select! {
        () = begin => Ok(()),
        error = all_ended(&listeners) => Err(error),
    };
    for listener in &listeners {
        listener.close();
    }
    for listener in &listeners {
        listener.closed().await;
    }
    let killed = connections.drain(grace, now).await;
    outcome.map(|()| Served {
        connections: connections.shared.begun.load(Ordering::Relaxed),
        failed: connections.shared.failed.load(Ordering::Relaxed),
        refused: connections.shared.refused.load(Ordering::Relaxed),
        killed,
    })
}

/// Wait until no listener is left. Returns why the first one has ended.
async fn all_ended(listeners: &[Listener]) -> Error {
    let end = |listener: &Listener| {
        let listener = listener.clone();
        async move {
            listener.ended().await;
            reason(&listener)
        }
    };
    let mut ends: FuturesUnordered<_> = listeners.iter().map(end).collect();
    let mut first = None;
    while let Some(error) = ends.next().await {
        if !ends.is_empty() {
            tracing::error!("a listener has ended, and the others go on: {error}");
        }
        first.get_or_insert(error);
    }
    first.unwrap_or(Error::Closed)
}

/// Why a listener has ended by itself.
fn reason(listener: &Listener) -> Error {
    use crate::StopReason;
    match listener.state() {
        State::Stopped(StopReason::Socket(code)) => Error::Socket(code),
        State::Stopped(StopReason::Trap(message)) => Error::Acceptor(message.to_string()),
        State::Accepting
        | State::Disabled
        | State::Paused
        | State::BackingOff(_)
        | State::Closed => Error::Closed,
    }
}

/// The connections that are being served.
struct Connections {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

struct Shared {
    service: Service,
    limits: Limits,
    tasks: TaskTracker,
    kill: CancellationToken,
    begun: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    killed: AtomicU64,
}

impl Connections {
    fn new(service: Service, limits: Limits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            shared: Arc::new(Shared {
                service,
                limits,
                tasks: TaskTracker::new(),
                kill: CancellationToken::new(),
                begun: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                killed: AtomicU64::new(0),
            }),
        }
    }

    /// What the listener does with a connection: start a task that serves it.
    fn callback(&self) -> ConnectionCallback {
        let shared = Arc::clone(&self.shared);
        let permits = Arc::clone(&self.permits);
        ConnectionCallback::limited_task(permits, move |_listener, connection, permit| {
            let serving = Arc::clone(&shared);
            shared.tasks.spawn(async move {
                serving.one(connection).await;
                drop(permit);
            });
        })
    }

    /// Wait until all connections are done, for as long as `grace` and `now` allow. Returns how
    /// many had to be ended.
    async fn drain(&self, grace: Duration, now: impl Future<Output = ()>) -> u64 {
        self.shared.tasks.close();
        tokio::select! {
            () = self.shared.tasks.wait() => {}
            () = now => {}
            () = tokio::time::sleep(grace) => {}
        }
        self.shared.kill.cancel();
        self.shared.tasks.wait().await;
        self.shared.killed.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Serve one connection, from its first byte to its last.
    async fn one(&self, connection: Parts) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let peer = connection.peer();
        tracing::debug!(number, %peer, "connection accepted");
        tokio::select! {
            // A connection that ends as it is killed was served.
            biased;
            () = self.to_its_end(number, connection) => {}
            () = self.kill.cancelled() => {
                self.killed.fetch_add(1, Ordering::Relaxed);
                tracing::info!(number, %peer, "connection ended by the shutdown");
            }
        }
    }

    async fn to_its_end(&self, number: u64, connection: Parts) {
        let endpoint = &connection.endpoint;
        if let Err(refused) = self.service.edge().prepare(endpoint).await {
            return self.refused(number, connection.peer(), &refused);
        }
        // A proxy may have said that it is somebody else.
        let peer = connection.peer();
        match self.service.handle(connection, &self.limits).await {
            Ok(()) => tracing::debug!(number, %peer, "connection done"),
            Err(failure) => self.failed(number, peer, &failure),
        }
    }

    fn refused(&self, number: u64, peer: Peer, refused: &Refused) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        match refused {
            // That is how many a health check looks.
            Refused::Closed => tracing::debug!(number, %peer, "connection refused: {refused}"),
            _ => tracing::info!(number, %peer, "connection refused: {refused}"),
        }
    }

    fn failed(&self, number: u64, peer: Peer, failure: &Failure) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        match failure {
            Failure::Handler(_) => tracing::info!(number, %peer, "connection failed: {failure}"),
            Failure::Trap(error) => {
                tracing::warn!(number, %peer, "connection failed: {failure}");
                tracing::debug!(number, %peer, "{error:?}");
            }
        }
    }
}
