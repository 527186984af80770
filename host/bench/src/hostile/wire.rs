//! What a good connection's bytes travel through.

use super::act::Front;
use super::tls;
use anyhow::{Context, Result};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

/// What a proxy announces of a good connection.
const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n";

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Sends the header of a proxy. A TLS handshake is made with the first bytes.
    pub fn new(mut stream: TcpStream, front: Front) -> Result<Self> {
        match front {
            Front::Nothing => {}
            Front::Proxy => stream.write_all(HEADER)?,
            Front::Tls => {
                let name = ServerName::try_from("localhost")?;
                let session = ClientConnection::new(tls::config()?, name).context("a session")?;
                return Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))));
            }
        }
        Ok(Self::Plain(stream))
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
