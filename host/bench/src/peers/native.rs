//! The server that one would write with tokio: an accept loop, and a task for each connection.

use anyhow::Result;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Serves. Each connection has a buffer of `buffer` bytes.
pub fn serve(buffer: usize) -> Result<()> {
    crate::runtime()?.block_on(accept(buffer))
}

async fn accept(buffer: usize) -> Result<()> {
    let listener = super::listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // If an echo fails, the client notices.
        tokio::spawn(echo(stream, buffer));
    }
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = vec![0; size];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}
