//! A connection, as its service has it.

use super::address::from_wasi;
use super::bindings::evconn::tcp::types::Connection as WitConnection;
use super::{Reader, TlsSession, Writer};
use std::io;
use std::net::SocketAddr;

/// A connection that a service has to serve: what the peer sends can be read from it, and what is written to it is sent.
///
/// Dropping it ends what is sent, after all that was written.
#[derive(Debug)]
pub struct Connection {
    known: WitConnection,
    reader: Reader,
    writer: Writer,
}

impl Connection {
    pub(super) fn new(known: WitConnection, reader: Reader, writer: Writer) -> Self {
        Self {
            known,
            reader,
            writer,
        }
    }

    /// Returns the address of the peer, as it was when the connection was accepted, or as its proxy has announced it.
    pub fn peer_addr(&self) -> SocketAddr {
        from_wasi(self.known.peer_address())
    }

    /// Returns the address on this side.
    ///
    /// # Errors
    /// None is expected.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(from_wasi(self.known.local_address()?))
    }

    /// Returns the TLS session between the peer and the host, if the connection is encrypted.
    pub fn tls(&self) -> Option<TlsSession> {
        self.known.tls()
    }

    /// Returns the number of the connection in the host's log.
    pub fn number(&self) -> u64 {
        self.known.number()
    }

    /// Returns what the host knows of it, and the two halves.
    pub(super) fn into_parts(self) -> (WitConnection, Reader, Writer) {
        (self.known, self.reader, self.writer)
    }

    /// Returns the two halves, which do not need each other.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

super::halves::delegate!(Connection);
