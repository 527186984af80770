//! The server that one would write with tokio: an accept loop, and a task for each connection.

use super::{ANY_PORT, BACKLOG, announce};
use anyhow::Result;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Serves. Each connection has a buffer of `buffer` bytes.
pub fn serve(buffer: usize) -> Result<()> {
    crate::runtime()?.block_on(accept(buffer))
}

async fn accept(buffer: usize) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(ANY_PORT.into())?;
    let listener = socket.listen(BACKLOG as u32)?;
    announce(listener.local_addr()?)?;
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
