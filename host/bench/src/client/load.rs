//! Connections that exchange messages all the time, and are opened again when they fail.

use super::{Message, Route, SMALL};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How often to look whether they are open, or have failed.
const CHECK_PERIOD: Duration = Duration::from_millis(5);

pub struct Load {
    tasks: JoinSet<()>,
    connections: usize,
    seen: Arc<Mutex<Seen>>,
}

/// The connections, by the client's addresses.
#[derive(Default)]
struct Seen {
    /// Those that have exchanged a message, and have not failed.
    open: BTreeSet<SocketAddr>,
    /// Those that have exchanged a message before they failed.
    failed: BTreeSet<SocketAddr>,
}

impl Load {
    /// Starts that many connections. Call this in a runtime.
    pub fn start(route: Route, connections: u32) -> Self {
        let seen = Arc::default();
        let tasks = (0..connections).map(|_| exchange_always(route, Arc::clone(&seen)));
        Self {
            tasks: tasks.collect(),
            connections: connections as usize,
            seen: Arc::clone(&seen),
        }
    }

    /// Waits until all connections are open. Returns the client's addresses.
    pub async fn all_open(&self, timeout: Duration) -> Result<BTreeSet<SocketAddr>> {
        let is_open = |seen: &Seen| seen.open.len() == self.connections;
        self.until(timeout, is_open, "not all connections are open")
            .await?;
        Ok(with(&self.seen, |seen| seen.open.clone()))
    }

    /// Waits until these connections have failed.
    pub async fn all_failed(&self, these: &BTreeSet<SocketAddr>, timeout: Duration) -> Result<()> {
        let have_failed = |seen: &Seen| these.is_subset(&seen.failed);
        self.until(
            timeout,
            have_failed,
            "a connection of a killed worker goes on",
        )
        .await
    }

    /// Returns the client's addresses of all connections that have failed.
    pub fn failures(&self) -> BTreeSet<SocketAddr> {
        with(&self.seen, |seen| seen.failed.clone())
    }

    async fn until(
        &self,
        timeout: Duration,
        is_so: impl Fn(&Seen) -> bool,
        otherwise: &str,
    ) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while !with(&self.seen, |seen| is_so(seen)) {
            ensure!(Instant::now() < deadline, "{otherwise} after {timeout:?}");
            tokio::time::sleep(CHECK_PERIOD).await;
        }
        Ok(())
    }

    /// Ends the connections.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn exchange_always(route: Route, seen: Arc<Mutex<Seen>>) {
    loop {
        // A connection that fails before its first echo is opened again: a worker that dies may have
        // accepted it.
        if let Ok((stream, address)) = first_echo(route).await {
            with(&seen, |seen| seen.open.insert(address));
            exchange_until_it_fails(stream).await;
            with(&seen, |seen| {
                seen.open.remove(&address);
                seen.failed.insert(address);
            });
        }
    }
}

async fn first_echo(route: Route) -> Result<(TcpStream, SocketAddr)> {
    let mut stream = route.connect().await?;
    Message::new(SMALL).exchange(&mut stream).await?;
    let address = stream.local_addr()?;
    Ok((stream, address))
}

async fn exchange_until_it_fails(mut stream: TcpStream) {
    let mut message = Message::new(SMALL);
    while message.exchange(&mut stream).await.is_ok() {}
}

fn with<T>(seen: &Mutex<Seen>, run: impl FnOnce(&mut Seen) -> T) -> T {
    run(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}
