//! The loads. Each is a fixed amount of work that is shared by its connections: whoever is ready
//! takes the next piece, so that all of them are busy to the end.

use crate::client::{connect, connect_all, finish, ping, two_writes};
use crate::options::Plan;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::JoinSet;

/// How many connections there are at a time, in [`Load::Connect`].
pub const CONNECTORS: u32 = 50;
/// How many connections there are, in [`Load::PingPong`] and [`Load::Pipelined`].
pub const PINGERS: u32 = 50;
/// How many connections there are, in [`Load::Stream`].
pub const STREAMS: u32 = 8;
/// What is written at once, in [`Load::Stream`].
const CHUNK: usize = 64 << 10;

/// What is done to a server.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Load {
    /// Connect, send 64 bytes, read them, close.
    Connect,
    /// On open connections, send 64 bytes and read them, again and again.
    PingPong,
    /// On open connections, send one byte, then another, and only then read both. Whoever does not
    /// set TCP_NODELAY holds back the second answer until the client, which has nothing to send, gets
    /// around to acknowledging the first: up to 40 ms.
    Pipelined,
    /// On open connections, send and read as fast as possible, both at the same time.
    Stream,
}

impl Load {
    pub const ALL: [Self; 4] = [Self::Connect, Self::PingPong, Self::Pipelined, Self::Stream];

    /// How many connections are opened for it, from the first to the last.
    pub const fn connections(self, plan: &Plan) -> u32 {
        match self {
            Self::Connect => plan.connections,
            Self::PingPong | Self::Pipelined => PINGERS,
            Self::Stream => STREAMS,
        }
    }

    /// Put it on a server. Returns how much was done in a second: connections, pings, or bytes that
    /// went there and back. Opening connections counts only where they are what is measured.
    pub async fn run(self, server: SocketAddr, plan: &Plan) -> Result<f64> {
        let (amount, elapsed) = match self {
            Self::Connect => {
                let elapsed = come_and_go(server, plan.connections).await?;
                (f64::from(plan.connections), elapsed)
            }
            Self::PingPong => {
                let elapsed = ping_pong(server, plan.pings).await?;
                (f64::from(plan.pings), elapsed)
            }
            Self::Pipelined => {
                let elapsed = pairs(server, plan.pairs).await?;
                (f64::from(plan.pairs), elapsed)
            }
            Self::Stream => {
                let elapsed = stream(server, plan.chunks).await?;
                (f64::from(plan.chunks) * CHUNK as f64, elapsed)
            }
        };
        Ok(amount / elapsed.as_secs_f64())
    }
}

async fn come_and_go(server: SocketAddr, count: u32) -> Result<Duration> {
    let work = Work::new(count);
    let begin = Instant::now();
    let connectors = (0..CONNECTORS).map(|_| {
        let work = Arc::clone(&work);
        async move {
            while work.take() {
                let mut stream = connect(server).await?;
                ping(&mut stream).await?;
                finish(stream).await?;
            }
            Ok(())
        }
    });
    all(connectors).await?;
    Ok(begin.elapsed())
}

async fn ping_pong(server: SocketAddr, count: u32) -> Result<Duration> {
    let streams = connect_all(server, PINGERS).await?;
    let work = Work::new(count);
    let begin = Instant::now();
    let pingers = streams.into_iter().map(|mut stream| {
        let work = Arc::clone(&work);
        async move {
            while work.take() {
                ping(&mut stream).await?;
            }
            Ok(stream)
        }
    });
    let streams = all(pingers).await?;
    let elapsed = begin.elapsed();
    all(streams.into_iter().map(finish)).await?;
    Ok(elapsed)
}

async fn pairs(server: SocketAddr, count: u32) -> Result<Duration> {
    let streams = connect_all(server, PINGERS).await?;
    let work = Work::new(count);
    let begin = Instant::now();
    let clients = streams.into_iter().map(|mut stream| {
        let work = Arc::clone(&work);
        async move {
            while work.take() {
                two_writes(&mut stream).await?;
            }
            Ok(stream)
        }
    });
    let streams = all(clients).await?;
    let elapsed = begin.elapsed();
    all(streams.into_iter().map(finish)).await?;
    Ok(elapsed)
}

async fn stream(server: SocketAddr, count: u32) -> Result<Duration> {
    let streams = connect_all(server, STREAMS).await?;
    let work = Work::new(count);
    let begin = Instant::now();
    all(streams
        .into_iter()
        .map(|stream| fill_and_drain(stream, Arc::clone(&work))))
    .await?;
    Ok(begin.elapsed())
}

async fn fill_and_drain(mut stream: TcpStream, work: Arc<Work>) -> Result<()> {
    let (input, output) = stream.split();
    // At the same time: the server stops reading when nobody reads what it sends back.
    let (sent, received) = tokio::try_join!(fill(output, &work), drain(input))?;
    ensure!(sent == received, "of {sent} bytes, {received} came back");
    Ok(())
}

/// Send chunks until none is left. Returns how many bytes that were.
async fn fill(mut output: WriteHalf<'_>, work: &Work) -> Result<usize> {
    let chunk = vec![0x5a; CHUNK];
    let mut sent = 0;
    while work.take() {
        output.write_all(&chunk).await.context("cannot send")?;
        sent += chunk.len();
    }
    output.shutdown().await.context("cannot shut down")?;
    Ok(sent)
}

/// Read to the end. Returns how many bytes that were.
async fn drain(mut input: ReadHalf<'_>) -> Result<usize> {
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        match input.read(&mut buffer).await.context("no clean end")? {
            0 => return Ok(received),
            count => received += count,
        }
    }
}

/// What is left to do, in pieces.
struct Work(AtomicU32);

impl Work {
    fn new(pieces: u32) -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(pieces)))
    }

    /// Take a piece, if one is left.
    fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

/// Run a task for each of them, and wait for all; the first error ends them.
async fn all<T: Send + 'static>(
    futures: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut tasks: JoinSet<_> = futures.collect();
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    Ok(results)
}
