//! The client's connections.

mod holder;
mod laps;
mod load;
mod source;

pub use holder::{Holder, SUBCOMMAND, hold_as};
pub use laps::Laps;
pub use load::Load;
pub use source::Sources;

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many tasks open connections at a time.
const OPENERS: u32 = 32;

/// The byte that is sent.
pub const BYTE: u8 = 0x5a;

/// The size of a small message.
pub const SMALL: usize = 64;

/// The server's address, and the address from which the client connects.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub server: SocketAddr,
    pub source: Ipv4Addr,
}

/// How a connection is closed. The client always closes it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client shuts down its side, and waits until the server does, too.
    Fin,
    /// The client resets the connection.
    Reset,
}

impl Route {
    pub async fn connect(self) -> Result<TcpStream> {
        let socket = source::socket(self.source)?;
        let stream = socket.connect(self.server).await;
        let stream = stream.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Opens `count` connections, and waits for the first echo on each.
    pub async fn connect_all(self, count: u32) -> Result<Vec<TcpStream>> {
        let openers = OPENERS.min(count);
        let some = |opener: u32| async move {
            let share = count / openers + u32::from(opener < count % openers);
            let mut streams = Vec::new();
            let mut message = Message::new(SMALL);
            for _ in 0..share {
                let mut stream = self.connect().await?;
                message.exchange(&mut stream).await?;
                streams.push(stream);
            }
            Ok(streams)
        };
        let opened = all((0..openers).map(some)).await?;
        Ok(opened.into_iter().flatten().collect())
    }
}

/// A message, and a buffer for its echo.
pub struct Message {
    sent: Vec<u8>,
    back: Vec<u8>,
}

impl Message {
    pub fn new(size: usize) -> Self {
        Self {
            sent: vec![BYTE; size],
            back: vec![0; size],
        }
    }

    /// Sends the message and waits for its echo.
    pub async fn exchange(&mut self, stream: &mut TcpStream) -> Result<()> {
        stream.write_all(&self.sent).await.context("cannot send")?;
        self.receive(stream).await
    }

    /// Sends the message in pieces, and waits for the whole echo. The task yields after each piece.
    pub async fn exchange_in_pieces(&mut self, stream: &mut TcpStream, size: usize) -> Result<()> {
        for piece in self.sent.chunks(size) {
            stream.write_all(piece).await.context("cannot send")?;
            // In most cases the server reads each piece separately.
            tokio::task::yield_now().await;
        }
        self.receive(stream).await
    }

    async fn receive(&mut self, stream: &mut TcpStream) -> Result<()> {
        self.back.fill(0);
        let back = stream.read_exact(&mut self.back).await;
        back.context("no complete echo")?;
        ensure!(
            self.back == self.sent,
            "what came back is not what was sent"
        );
        Ok(())
    }
}

/// Sends a line, ends its side, and reads the answer to its end.
pub async fn ask(mut stream: TcpStream, line: &str, expected: &str) -> Result<()> {
    stream
        .write_all(line.as_bytes())
        .await
        .context("cannot send")?;
    stream.shutdown().await.context("cannot shut down")?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    read.context("no clean end")?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer == expected, "the answer is {answer:?}");
    Ok(())
}

/// Closes a connection.
pub async fn close(mut stream: TcpStream, how: Close) -> Result<()> {
    match how {
        Close::Fin => {
            stream.shutdown().await.context("cannot shut down")?;
            let rest = stream.read(&mut [0]).await.context("no clean end")?;
            ensure!(rest == 0, "more came back than was sent");
        }
        Close::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
    }
    Ok(())
}

/// Closes all connections with a FIN.
pub async fn close_all(streams: Vec<TcpStream>) -> Result<()> {
    let closing = streams.into_iter().map(|stream| close(stream, Close::Fin));
    all(closing).await?;
    Ok(())
}

/// Runs a task for each future and waits for all of them. The first error ends them.
pub async fn all<T: Send + 'static>(
    futures: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut tasks: JoinSet<_> = futures.collect();
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result??);
    }
    Ok(results)
}
