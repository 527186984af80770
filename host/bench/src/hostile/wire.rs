//! What a good connection's bytes travel through.

use super::tls;
use anyhow::{Context, Result};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// The handshake is made with the first bytes.
    pub fn new(stream: TcpStream, is_encrypted: bool) -> Result<Self> {
        if !is_encrypted {
            return Ok(Self::Plain(stream));
        }
        let name = ServerName::try_from("localhost")?;
        let session = ClientConnection::new(tls::config()?, name).context("a session")?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => &session.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(session) => session.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(session) => session.flush(),
        }
    }
}
