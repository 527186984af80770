//! The client's connections, from their beginning to their end.

use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is sent, and expected back, where messages are small.
const PING: [u8; 64] = [0x5a; 64];

pub async fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Open `count` connections, each with its instance up and running.
pub async fn connect_all(server: SocketAddr, count: u32) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = connect(server).await?;
        ping(&mut stream).await?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Send 64 bytes and wait until they are back.
pub async fn ping(stream: &mut TcpStream) -> Result<()> {
    let mut pong = [0; PING.len()];
    stream.write_all(&PING).await.context("cannot send")?;
    stream
        .read_exact(&mut pong)
        .await
        .context("no complete echo")?;
    ensure!(pong == PING, "what came back is not what was sent");
    Ok(())
}

/// Send a byte, then another one, and wait until both are back.
pub async fn two_writes(stream: &mut TcpStream) -> Result<()> {
    for byte in *b"ab" {
        stream.write_all(&[byte]).await.context("cannot send")?;
        // The server gets the first one by itself, mostly.
        tokio::task::yield_now().await;
    }
    let mut back = [0; 2];
    stream
        .read_exact(&mut back)
        .await
        .context("no complete echo")?;
    ensure!(&back == b"ab", "what came back is not what was sent");
    Ok(())
}

/// Close a connection: say that there is no more, and wait until the server says so, too.
pub async fn finish(mut stream: TcpStream) -> Result<()> {
    stream.shutdown().await.context("cannot shut down")?;
    let rest = stream.read(&mut [0]).await.context("no clean end")?;
    ensure!(rest == 0, "more came back than was sent");
    Ok(())
}
