//! The client's connections, from their beginning to their end.

mod laps;
mod source;

pub use laps::Laps;
pub use source::Sources;

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many connections are opened at a time, where many are.
const OPENERS: u32 = 32;

/// What bytes are sent.
pub const BYTE: u8 = 0x5a;

/// The size of a small message.
pub const SMALL: usize = 64;

/// Who connects to whom.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub server: SocketAddr,
    pub source: Ipv4Addr,
}

/// Which side ends a connection, and how: always the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// It says that there is no more, and waits until the server says so, too.
    Fin,
    /// It resets.
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

    /// Open `count` connections, each with its echo up and running.
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

/// Something to send, and room for what comes back.
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

    /// Send it and wait until it is back.
    pub async fn exchange(&mut self, stream: &mut TcpStream) -> Result<()> {
        stream.write_all(&self.sent).await.context("cannot send")?;
        self.receive(stream).await
    }

    /// Send it in pieces, a turn of the runtime apart, and wait until all of it is back.
    pub async fn exchange_in_pieces(&mut self, stream: &mut TcpStream, size: usize) -> Result<()> {
        for piece in self.sent.chunks(size) {
            stream.write_all(piece).await.context("cannot send")?;
            // The server gets it by itself, mostly.
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

/// Close a connection.
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

/// Close all of them in good order.
pub async fn close_all(streams: Vec<TcpStream>) -> Result<()> {
    let closing = streams.into_iter().map(|stream| close(stream, Close::Fin));
    all(closing).await?;
    Ok(())
}

/// Run a task for each of them, and wait for all; the first error ends them.
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
