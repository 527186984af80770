//! Serving: each connection of the listeners is given to an instance of a service.
//!
//! This module has the life of a server, from ready to drained; [`connection`] has that of a connection.
//! The [`service`](crate::service) module creates and runs the instances.

mod access;
mod accounts;
mod builder;
mod connection;
mod connections;
mod cuts;
mod end;
mod handle;
mod handshakes;
mod hooks;
mod peers;
mod rates;
mod serve;
mod status;
mod watch;

pub use builder::ServerBuilder;
pub use handle::ServerHandle;
pub use hooks::{ConnectionEnd, ConnectionInfo};
pub use peers::PeerFilter;
pub use serve::{serve, serve_all};
pub use status::{ConnectionPhases, ConnectionState, ConnectionStatus};

use crate::{Error, Listener, Served, Service, Shutdown, State, StopReason, stderr};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// A service and the listeners whose connections it serves.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{Host, Limits, Server, Service, Shutdown, guests};
/// use std::time::Duration;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let host = Host::new()?;
/// let service = Service::new(&host, guests::ECHO)?;
/// let limits = Limits {
///     idle_timeout: Some(Duration::from_secs(60)),
///     ..Limits::default()
/// };
/// let server = Server::builder(&service)
///     .listen("127.0.0.1:0".parse()?)
///     .limits(limits)
///     .bind()
///     .await?;
/// let address = server.listeners()[0].local_addr();
///
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let running = tokio::spawn(server.run(Shutdown::on(stopped)));
///
/// let mut peer = tokio::net::TcpStream::connect(address).await?;
/// peer.write_all(b"hello").await?;
/// peer.shutdown().await?;
/// let mut answer = String::new();
/// peer.read_to_string(&mut answer).await?;
/// assert_eq!(answer, "hello");
///
/// drop(stop);
/// assert!(running.await??.is_clean());
/// # Ok(())
/// # }
/// ```
pub struct Server {
    handle: ServerHandle,
    listeners: Vec<Listener>,
    /// For each listener the port of a program's socket whose connections it has, if one was named.
    ports: Vec<Option<u16>>,
    shutdown_after_idle: Option<Duration>,
    _killed_on_drop: KillOnDrop,
}

impl Server {
    /// Returns a builder that configures a server of this service.
    pub fn builder(service: &Service) -> ServerBuilder {
        ServerBuilder::new(service)
    }

    /// Returns the listeners. A source may have had several.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Returns a handle, with which the service can be replaced and the server observed while it runs.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Waits until the first of the instances is ready that are made ahead of the connections that they are for:
    /// a handler's has been instantiated, and a program waits for its first connection. Returns at once if none are
    /// ([`InstancePolicy::warm`](crate::InstancePolicy::warm)). [`run`](Self::run) makes them, too, but waits for none.
    ///
    /// # Errors
    /// [`Error::NotWarm`] if it fails or ends before, or is not ready within 60 seconds.
    pub async fn warmed_up(&self) -> Result<(), Error> {
        self.handle.all().instances().warmed_up().await
    }

    /// Serves connections until `shutdown` begins, no connection has been open for the idle time, or no
    /// listener is left. Then the listeners are closed, and open connections get the grace period to
    /// finish.
    ///
    /// A listener that stops because of an error is logged, and the others continue. If the returned
    /// future is dropped, open connections are reset.
    ///
    /// # Errors
    /// [`Error::Socket`], [`Error::Acceptor`] or [`Error::Closed`] when the last listener has stopped:
    /// the error of the one that stopped first.
    pub async fn run(self, shutdown: Shutdown) -> Result<Served, Error> {
        let connections = Arc::clone(self.handle.all());
        tokio::select! {
            outcome = self.live(shutdown) => outcome,
            never = connections.watch_all() => match never {},
        }
    }

    async fn live(self, shutdown: Shutdown) -> Result<Served, Error> {
        let connections = self.handle.all();
        connections.instances().begin_warming();
        let _lag = connections.measure_lag();
        for (listener, port) in self.listeners.iter().zip(&self.ports) {
            listener.set_connection_callback(Some(connections.callback(listener, *port)));
        }
        let Shutdown {
            begin,
            now,
            grace,
            drain_delay,
        } = shutdown;
        let outcome = tokio::select! {
            () = begin => Ok(()),
            () = self.idle() => Ok(()),
            error = all_ended(&self.listeners) => Err(error),
        };
        self.handle.begin_stopping();
        log_ending(self.handle.open(), grace, drain_delay);

        let drained = pin!(self.drain(drain_delay, grace));
        tokio::select! {
            () = drained => {}
            () = now => {}
        }
        // The listeners first: otherwise a connection that waits for a permit would be accepted once one
        // is free.
        close(&self.listeners).await;
        connections.kill();
        connections.done().await;
        // Only now: their connections were ended by the shutdown, not by theirs.
        connections.instance_tasks.kill();
        connections.instances_ended().await;
        connections.log.report_rest();
        stderr::flush().await;
        outcome.map(|()| self.handle.served())
    }

    /// Waits until no connection has been open for the idle time.
    async fn idle(&self) {
        match self.shutdown_after_idle {
            Some(time) => self.handle.all().idle_for(time).await,
            None => pending().await,
        }
    }

    /// Accepts what is in the queues, closes the listeners, and waits for the connections for up to
    /// `grace`.
    async fn drain(&self, delay: Duration, grace: Duration) {
        // A timer takes a moment even if it is set to none.
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let done = async {
            for listener in &self.listeners {
                match self.handle.leaves_queues() {
                    true => listener.leave_queue(),
                    false => listener.drain(),
                }
            }
            for listener in &self.listeners {
                listener.closed().await;
            }
            self.handle.all().done().await;
            self.handle.all().instances_ended().await;
        };
        match grace {
            Duration::MAX => done.await,
            // An error means that the grace period is over.
            grace => drop(tokio::time::timeout(grace, done).await),
        }
    }
}

fn log_ending(open: usize, grace: Duration, drain_delay: Duration) {
    let more = match drain_delay {
        Duration::ZERO => String::new(),
        delay => format!(", after {delay:?} in which more are accepted"),
    };
    match grace {
        Duration::MAX => tracing::debug!("ending: open connections ({open}) may finish{more}"),
        grace => {
            tracing::info!("ending: open connections ({open}) have {grace:?} to finish{more}");
        }
    }
}

/// Closes listeners, and waits until nobody can connect.
async fn close(listeners: &[Listener]) {
    for listener in listeners {
        listener.close();
    }
    for listener in listeners {
        listener.closed().await;
    }
}

/// Resets what is open when the server is dropped, even if it never ran: instances may.
struct KillOnDrop(ServerHandle);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let connections = self.0.all();
        connections.kill();
        connections.instance_tasks.kill();
    }
}

/// Waits until no listener is left. Returns why the first one has stopped.
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
            tracing::error!("a listener has stopped, the others continue: {error}");
        }
        first.get_or_insert(error);
    }
    first.unwrap_or(Error::Closed)
}

/// Returns why a listener has stopped.
fn reason(listener: &Listener) -> Error {
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
